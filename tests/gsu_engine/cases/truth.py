"""What is so: vectors and histories as plain arrays, and the answer by the definition.

Invariant: nothing of the engine is used here but the reference backend, which is given arrays of our own: no index, no
pool, no packed rows. (That the reference itself is right is what the oracle's suite shows.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine import SearchBatch, SearchResult
from muse_stream.gsu_engine.arrays import F32, I8, I64, U32, Flags
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.gsu_engine.contract import TableView, Work


@dataclass(frozen=True)
class Lived:
    """A user's live behaviours: which of the truth's items, at positions `start`, `start + 1`, ..."""

    start: int
    items: I64

    @property
    def stop(self) -> int:
        return self.start + len(self.items)


class Truth:
    """Items by number, and histories that name them so. A `HistorySource`."""

    def __init__(self, ids: I64, dimension: int) -> None:
        """No vectors and no histories yet; `ids` rise."""
        self.ids = ids
        self.vectors: I8 = np.zeros((len(ids), dimension), np.int8)  # all zero = none
        self.inv_norms: F32 = np.zeros(len(ids), np.float32)
        self.histories: dict[int, Lived] = {}
        self._definition = ReferenceBackend()

    def put(self, numbers: I64, vectors: I8) -> None:
        self.vectors[numbers] = vectors
        self.inv_norms[numbers] = inverse_norms(vectors)

    def append(self, user: int, numbers: I64, cap: int) -> tuple[int, I64]:
        """Add behaviours as `state` does: the last `cap` live on. Returns position and ids of the new ones alive."""
        before = self.histories[user]
        everything = np.concatenate([before.items, numbers])[-cap:]
        stop = before.stop + len(numbers)
        self.histories[user] = Lived(stop - len(everything), everything)
        alive = numbers[-cap:]
        return stop - len(alive), self.ids[alive]

    def items(self, user: int) -> tuple[int, I64]:
        history = self.histories[user]
        return history.start, self.ids[history.items]

    def answer(self, batch: SearchBatch, k: int, recent: int) -> SearchResult:
        windows = []
        for user, start, stop in zip(batch.users.tolist(), batch.starts.tolist(), batch.stops.tolist(), strict=True):
            history = self.histories[user]
            windows.append(history.items[start - history.start : stop - history.start] + 1)
        nobody = np.zeros(1, np.float32)
        inv_norms = np.concatenate([nobody, self.inv_norms])
        rows = np.concatenate([np.zeros((1, self.vectors.shape[1]), np.int8), self.vectors])
        numbers: U32 = np.arange(len(rows), dtype=np.uint32)
        work = Work(
            table=TableView(np.where(inv_norms != 0, numbers, 0).astype(np.uint32), rows, inv_norms),
            slots=np.concatenate([np.zeros(0, np.int64), *windows]).astype(np.uint32),
            offsets=np.cumsum([0, *map(len, windows)], dtype=np.int64),
            starts=batch.starts,
            stops=batch.stops,
            packed=[None] * len(windows),
            bounds=batch.bounds,
            vectors=batch.vectors,
            inv_norms=batch.inv_norms,
            allowed=self._allowed(batch, [len(window) for window in windows]),
            excluded=None if batch.excluded is None else self._slots(batch.excluded),
            k=k,
            recent=recent,
        )
        return self._definition.search(work)

    def _slots(self, ids: I64) -> U32:
        places = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        return np.where(self.ids[places] == ids, places + 1, 0).astype(np.uint32)

    def _allowed(self, batch: SearchBatch, lengths: Sequence[int]) -> Flags | None:
        if batch.allowed is None:
            return None
        parts: list[Flags] = [np.zeros(0, np.bool_)]
        for mask, length in zip(batch.allowed, lengths, strict=True):
            parts.append(np.ones(length, np.bool_) if mask is None else _flags(mask, length))
        return np.concatenate(parts)


def _flags(mask: NDArray[np.bool_] | NDArray[np.uint8], length: int) -> Flags:
    bits = np.unpackbits(mask, count=length, bitorder="little") if mask.dtype == np.uint8 else mask
    return bits.astype(np.bool_)


def inverse_norms(vectors: I8) -> F32:
    """`1 / |vector|` in float64, rounded once; 0 for an all-zero vector."""
    squares = (vectors.astype(np.int64) ** 2).sum(axis=1)
    norms = np.zeros(len(vectors), np.float64)
    np.divide(1.0, np.sqrt(squares.astype(np.float64)), out=norms, where=squares != 0)
    return norms.astype(np.float32)


def difference(got: SearchResult, expected: SearchResult) -> str | None:
    """Where two answers first differ; None = the same bits."""
    for name in ("count", "positions", "scores", "recent_present", "recent_scores"):
        ours, theirs = getattr(got, name), getattr(expected, name)
        if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
            return f"{name} is {ours.dtype}{list(ours.shape)}, expected {theirs.dtype}{list(theirs.shape)}"
        same = _bits(ours) == _bits(theirs)
        if not same.all():
            at = tuple(int(x) for x in np.argwhere(~same)[0])
            return f"{name}{list(at)} is {ours[at]!r}, expected {theirs[at]!r}; {int((~same).sum())} differ"
    return None


def _bits(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array.view(np.uint32) if array.dtype == np.float32 else array


def has_ties(result: SearchResult) -> bool:
    """Whether two results of one candidate have one score."""
    kept = np.arange(result.scores.shape[1])[1:] < result.count[:, None]
    return bool(((np.diff(result.scores, axis=1) == 0) & kept).any())


def swapped_ties(result: SearchResult) -> SearchResult:
    """The same with the first two positions that tie swapped; the same object where none do."""
    for row, count in enumerate(result.count.tolist()):
        for one, other in pairwise(range(count)):
            if result.scores[row, one] == result.scores[row, other]:
                positions = result.positions.copy()
                positions[row, [one, other]] = positions[row, [other, one]]
                return replace(result, positions=positions)
    return result
