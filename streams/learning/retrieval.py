"""Retrieval for learning: the engine's own search, so that a model is trained on what it will be served with.

Invariant: the answer to a sample follows from its window, its candidate and the vectors alone. The engine remembers
histories from block to block, so it knows them not by user but by where they lie: a key names the rows of one
`Behaviours` object from one row on, for good. Who comes again with another history has another key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories
from muse_stream.esu_scorer.retrieval import Retrieved
from muse_stream.gsu_engine import (
    EngineStats,
    GsuEngine,
    ItemIndex,
    SearchBatch,
    SearchResult,
    VectorError,
    VectorTable,
    quantise,
)
from muse_stream.streams.learning.windows import F32, I64, OWN, PARTS, Pairs, best_of_parts, cut

Vectors = Iterable[tuple[I64, NDArray[np.int8] | NDArray[np.floating]]]

WIDTH_STEP = 64  # widths that the engine has kernels for
ROWS_PER_SEARCH = 1 << 23  # of histories; a search holds 8 bytes for each while it runs
CAP = 1_000_000  # behaviours of a user that are remembered; a longer history is read anew for each search
POOL_BYTES = 256 << 20  # remembered histories: 60 million behaviours
TABLE_BYTES = 16 << 30  # address space; 130 million vectors of 128, committed as they come
MAX_ITEMS = 1 << 27  # likewise


class _Keys:
    """Engine keys of histories, and the histories of keys."""

    def __init__(self) -> None:
        self._behaviours: Behaviours | None = None
        self._base = self._next = 1
        self._ends: dict[int, int] = {}

    def of(self, histories: Histories, owner: I64) -> I64:
        """Keys `[P] int64` of the histories of these owners; `items` answers for them until the next call."""
        if histories.behaviours is not self._behaviours:
            self._behaviours, self._base = histories.behaviours, self._next
            self._next += len(histories.behaviours) + 1  # an empty history may begin behind the last row
        keys = self._base + histories.lows[owner]
        self._ends = {}
        for key, high in zip(keys.tolist(), histories.highs[owner].tolist(), strict=True):
            self._ends[key] = max(high, self._ends.get(key, 0))  # an empty history begins where the next one does
        return np.asarray(keys, np.int64)

    def items(self, user: int) -> tuple[int, I64]:
        """The engine's `HistorySource`: places count from 0."""
        assert self._behaviours is not None  # noqa: S101
        return 0, self._behaviours.item[user - self._base : self._ends[user]]


@dataclass(frozen=True, slots=True)
class _Found:
    """Answers to the pieces of samples: `[N, parts, K]`, and for the newest behaviours `[N, R]`."""

    places: I64
    cosine: F32
    recent_cosine: F32
    recent_present: NDArray[np.bool_]

    @classmethod
    def room(cls, samples: int, parts: int, k: int, recent: int) -> _Found:
        return cls(
            np.full((samples, parts, k), -1, np.int64),
            np.zeros((samples, parts, k), np.float32),
            np.zeros((samples, recent), np.float32),
            np.zeros((samples, recent), np.bool_),
        )

    def put(self, samples: I64, parts: I64, answer: SearchResult) -> None:
        self.places[samples, parts], self.cosine[samples, parts] = answer.positions, answer.scores
        own = parts == OWN
        self.recent_cosine[samples[own]] = answer.recent_scores[own]
        self.recent_present[samples[own]] = answer.recent_present[own]

    def retrieved(self) -> Retrieved:
        if self.places.shape[1] == 1:
            return Retrieved(self.places[:, 0], self.cosine[:, 0], self.recent_cosine, self.recent_present)
        cosine, places = best_of_parts(self.cosine, self.places)
        return Retrieved(places, cosine, self.recent_cosine, self.recent_present)


class EngineRetrieval:
    """Retrieval by cosine with the project's engine: an `esu_scorer.retrieval.Retrieval`. For one thread."""

    def __init__(self, engine: GsuEngine) -> None:
        self._engine = engine
        self._keys = _Keys()

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`; `k` 1..1000, `recent` 0..1000."""
        histories, pieces = block.histories, cut(block.owner, block.start, block.stop, recent)
        pairs = Pairs.of(block.owner[pieces.sample], pieces.start, pieces.stop)
        keys = self._keys.of(histories, pairs.owner)
        vectors, inv_norms = self._engine.table.lookup(block.item[pieces.sample[pairs.order]])
        found = _Found.room(len(block), PARTS if len(pieces.sample) > len(block) else 1, k, recent)
        for run in pairs.runs((histories.highs - histories.lows)[pairs.owner], ROWS_PER_SEARCH):
            low, high = int(pairs.bounds[run.start]), int(pairs.bounds[run.stop])
            batch = SearchBatch(
                users=keys[run],
                starts=pairs.start[run],
                stops=pairs.stop[run],
                bounds=pairs.bounds[run.start : run.stop + 1] - low,
                vectors=vectors[low:high],
                inv_norms=inv_norms[low:high],
            )
            asked = pairs.order[low:high]
            found.put(pieces.sample[asked], pieces.part[asked], self._engine.search(batch, k, recent, self._keys))
        return found.retrieved()

    def stats(self) -> EngineStats:
        """Of the engine: backend, vectors, searches, seconds."""
        return self._engine.stats()


@dataclass(frozen=True, slots=True)
class EngineMaker:
    """Makes engines over given vectors: an `esu_scorer` `MakeRetrieval`.

    Attributes:
        backend: Name of the engine's backend (`gsu_engine.backends`).
        threads: Of the CPU; None = one per core.
        pool_bytes: Bound on remembered histories.

    """

    backend: str = "auto"
    threads: int | None = None
    pool_bytes: int = POOL_BYTES

    def __call__(self, vectors: Vectors) -> EngineRetrieval:
        """An engine over items `[n] int64` and their vectors `[n, d]`, in pieces, int8 as they are or floats.

        No rows are kept packed for users: a training run meets a window a few times, and packing it costs more than
        it saves.

        Raises:
            VectorError: A piece of another width or length, NaN or infinity, item id 0, or more than the table takes.
            BackendError: The backend cannot run here.
            BudgetError: `pool_bytes` is too small.

        """
        table = make_table(vectors)
        engine = GsuEngine(
            table, cap=CAP, pool_bytes=self.pool_bytes, packed_bytes=0, backend=self.backend, threads=self.threads
        )
        return EngineRetrieval(engine)


def make_table(vectors: Vectors) -> VectorTable:
    """A table of these vectors, padded with zeros to a width that the engine has; see `EngineMaker`."""
    table, width = None, 0
    for items, piece in vectors:
        if table is None:
            width = piece.shape[1]
            table = _empty_table(width)
        if piece.shape != (len(items), width):
            message = f"a piece of vectors is {list(piece.shape)} for {len(items)} items, expected [n, {width}]"
            raise VectorError(message)
        _put(table, items, piece)
    return table or _empty_table(WIDTH_STEP)


def _empty_table(width: int) -> VectorTable:
    padded = max(-(-width // WIDTH_STEP), 1) * WIDTH_STEP
    return VectorTable("learning", padded, ItemIndex(MAX_ITEMS), TABLE_BYTES)


def _put(table: VectorTable, items: I64, piece: NDArray[np.int8] | NDArray[np.floating]) -> None:
    rows = piece if piece.dtype == np.int8 else quantise(piece.astype(np.float32, copy=False))
    padding = table.dimension - rows.shape[1]
    refused = table.put(items, np.pad(rows, ((0, 0), (0, padding))) if padding else rows.astype(np.int8, copy=False))
    if refused:
        message = f"{refused} vectors found no room, the table takes {table.max_rows} of {table.dimension}"
        raise VectorError(message)
