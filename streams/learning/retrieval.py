"""Retrieval for learning: the engine's own search, so that a model is trained on what it will be served with.

Invariant: the answer to a sample follows from its window, its candidate and the vectors alone. The engine remembers
histories from block to block, so it knows them not by user but by where they lie: a key names the rows of one
`Behaviours` object from one row on, for good. Who comes again with another history has another key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories
from muse_stream.esu_scorer.retrieval import Retrieved
from muse_stream.gsu_engine import EngineStats, GsuEngine, ItemIndex, SearchBatch, VectorError, VectorTable, quantise

I64 = NDArray[np.int64]
Vectors = Iterable[tuple[I64, NDArray[np.int8] | NDArray[np.floating]]]

WIDTH_STEP = 64  # widths that the engine has kernels for
ROWS_PER_SEARCH = 1 << 23  # of histories; a search holds 8 bytes for each while it runs
CAP = 1_000_000  # behaviours of a user that are remembered; a longer history is read anew for each search
POOL_BYTES = 256 << 20  # remembered histories: 60 million behaviours
TABLE_BYTES = 16 << 30  # address space; 130 million vectors of 128, committed as they come
MAX_ITEMS = 1 << 27  # likewise


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The distinct windows of a block, by user.

    Attributes:
        order: `[N] int64` the samples, one window's after the other's.
        bounds: `[P+1] int64` the samples of window p are `order[bounds[p]:bounds[p+1]]`.
        owner: `[P] int64` whose windows: index in the block's histories.
        start: `[P] int64`.
        stop: `[P] int64`.

    """

    order: I64
    bounds: I64
    owner: I64
    start: I64
    stop: I64

    @classmethod
    def of(cls, block: Block) -> _Pairs:
        order = np.lexsort((block.stop, block.start, block.owner))
        columns = [column[order] for column in (block.owner, block.start, block.stop)]
        is_first = np.ones(len(order), np.bool_)
        is_first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
        first = np.flatnonzero(is_first)
        owner, start, stop = (column[first] for column in columns)
        return cls(order, np.append(first, len(order)), owner, start, stop)

    def parts(self, rows: I64) -> Iterator[slice]:
        """Runs of windows whose histories, `rows[p]` long, have at most `ROWS_PER_SEARCH` together, or one window."""
        ends, low = np.cumsum(rows), 0
        while low < len(rows):
            before = int(ends[low - 1]) if low else 0
            high = max(int(np.searchsorted(ends, before + ROWS_PER_SEARCH, side="right")), low + 1)
            yield slice(low, high)
            low = high


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


class EngineRetrieval:
    """Retrieval by cosine with the project's engine: an `esu_scorer.retrieval.Retrieval`. For one thread."""

    def __init__(self, engine: GsuEngine) -> None:
        self._engine = engine
        self._keys = _Keys()

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`; `k` 1..1000, `recent` 0..1000."""
        count = len(block)
        found = Retrieved(
            np.full((count, k), -1, np.int64),
            np.zeros((count, k), np.float32),
            np.zeros((count, recent), np.float32),
            np.zeros((count, recent), np.bool_),
        )
        pairs, histories = _Pairs.of(block), block.histories
        keys = self._keys.of(histories, pairs.owner)
        vectors, inv_norms = self._engine.table.lookup(block.item[pairs.order])
        for part in pairs.parts((histories.highs - histories.lows)[pairs.owner]):
            low, high = int(pairs.bounds[part.start]), int(pairs.bounds[part.stop])
            batch = SearchBatch(
                users=keys[part],
                starts=pairs.start[part],
                stops=pairs.stop[part],
                bounds=pairs.bounds[part.start : part.stop + 1] - low,
                vectors=vectors[low:high],
                inv_norms=inv_norms[low:high],
            )
            answer, samples = self._engine.search(batch, k, recent, self._keys), pairs.order[low:high]
            found.places[samples], found.cosine[samples] = answer.positions, answer.scores
            found.recent_cosine[samples] = answer.recent_scores
            found.recent_present[samples] = answer.recent_present
        return found

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
