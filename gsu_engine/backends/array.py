"""The search in array operations, for any module that speaks NumPy: NumPy itself, or CuPy on a GPU.

Invariant: nothing but array operations that both modules round alike. A dot product of int8 vectors is an integer of at
most 2^24 in magnitude (d <= 1 024), so a float32 matrix product is exact in whatever order it sums; the multiplications
by the inverse norms are one rounding each; selection is on integers.

Rows are gathered on the host and sent for each search; candidates are taken in chunks so that a chunk's scores fit
`CELLS`.
"""

from typing import Any

import numpy as np

from muse_stream.gsu_engine.arrays import I64, U32
from muse_stream.gsu_engine.contract import SearchResult, Work
from muse_stream.gsu_engine.errors import BackendError

CELLS = 1 << 25  # scores at a time: 128 MiB of float32, and their keys 256 MiB
SIGN = 1 << 31
INDEX = (1 << 32) - 1
BARRED = -(1 << 63)  # below the key of any score


class ArrayBackend:
    """Works on the arrays of module `xp`."""

    form = None

    def __init__(self, xp: Any, name: str) -> None:  # noqa: ANN401 - two modules share this interface, no type names it
        """Take a module and make sure that its matrix product is exact.

        Raises:
            BackendError: It is not (a reduced-precision mode is on).

        """
        self.xp = xp
        self.name = name
        self._require_exact()

    def _require_exact(self) -> None:
        worst = np.where(np.arange(64 * 1_024).reshape(64, 1_024) % 3 == 0, 127, -128).astype(np.int8)
        expected = worst.astype(np.int64) @ worst.T.astype(np.int64)
        if not np.array_equal(self._host(self._dots(worst, self._floats(worst))), expected):
            message = f"{self.name}: float32 matrix products are not exact: switch TF32 and other short formats off"
            raise BackendError(message)

    def search(self, work: Work) -> SearchResult:
        """Answer exactly as `SearchResult` says."""
        result = SearchResult.empty(len(work.vectors), work.k, work.recent)
        for pair in range(work.pairs):
            low, high = int(work.offsets[pair]), int(work.offsets[pair + 1])
            rows = work.table.row_of_slot[work.slots[low:high]]  # (L,), 0 = absent
            eligible = rows != 0 if work.allowed is None else (rows != 0) & work.allowed[low:high]
            first, last = int(work.bounds[pair]), int(work.bounds[pair + 1])
            candidates = first + np.flatnonzero(work.inv_norms[first:last] != 0)
            found = np.flatnonzero(eligible)
            self._retrieve(work, candidates, work.slots[low:high][found], found, result)
            result.positions[candidates] += np.where(result.positions[candidates] >= 0, work.starts[pair], 0)
            self._recent(work, candidates, rows, result)
        return result

    def _retrieve(self, work: Work, candidates: I64, slots: U32, found: I64, result: SearchResult) -> None:
        """The best of the rows at the places `found`, which hold `slots`."""
        count = min(work.k, len(found))
        if count == 0:
            return
        vectors, inv_norms = self._rows(work, work.table.row_of_slot[slots])
        places, held = self.xp.asarray(found), self.xp.asarray(slots)
        step = max(CELLS // len(found), 1)
        for chunk in (candidates[low : low + step] for low in range(0, len(candidates), step)):
            keys = self._keys(self._scores(work, chunk, vectors, inv_norms), places)
            if work.excluded is not None:
                keys = self.xp.where(self.xp.asarray(work.excluded[chunk])[:, None] == held, BARRED, keys)
            best = self._best(keys, count)
            kept = best != BARRED
            result.scores[chunk, :count] = self._host(self.xp.where(kept, self._score_of(best >> 32), np.float32(0)))
            result.positions[chunk, :count] = self._host(self.xp.where(kept, best & INDEX, -1))
            result.count[chunk] = self._host(kept.sum(axis=1))

    def _recent(self, work: Work, candidates: I64, rows: U32, result: SearchResult) -> None:
        newest = rows[::-1][: work.recent]
        columns = np.flatnonzero(newest != 0)
        if len(columns) == 0 or len(candidates) == 0:
            return
        vectors, inv_norms = self._rows(work, newest[columns])
        cells = np.ix_(candidates, columns)
        result.recent_scores[cells] = self._host(self._scores(work, candidates, vectors, inv_norms))
        result.recent_present[cells] = True

    def _rows(self, work: Work, rows: U32) -> tuple[Any, Any]:
        """Vectors `[n, d] float32` and inverse norms `[n] float32`."""
        return self._floats(work.table.rows[rows]), self.xp.asarray(work.table.inv_norms[rows])

    def _floats(self, vectors: Any) -> Any:  # noqa: ANN401
        return self.xp.asarray(vectors).astype(np.float32)

    def _dots(self, candidates: Any, vectors: Any) -> Any:  # noqa: ANN401
        """Exact products `[c, n] float32`; adding 0 turns a -0 into the 0 that an integer product would be."""
        return self.xp.matmul(self._floats(candidates), vectors.T) + np.float32(0)

    def _scores(self, work: Work, candidates: I64, vectors: Any, inv_norms: Any) -> Any:  # noqa: ANN401
        own = self.xp.asarray(work.inv_norms[candidates])
        return self._dots(work.vectors[candidates], vectors) * inv_norms * own[:, None]

    def _keys(self, scores: Any, places: Any) -> Any:  # noqa: ANN401
        """One int64 per score, ordered by score, then place: the bits of a float32 made ascending, and the place."""
        bits = scores.view(np.int32).astype(np.int64)
        ascending = self.xp.where(bits < 0, -(bits & (SIGN - 1)), bits)
        return (ascending << 32) | places

    def _best(self, keys: Any, count: int) -> Any:  # noqa: ANN401
        """The `count` largest of each row, largest first."""
        rest = keys.shape[1] - count
        top = self.xp.partition(keys, rest, axis=1)[:, rest:] if rest else keys
        return self.xp.sort(top, axis=1)[:, ::-1]

    def _score_of(self, ascending: Any) -> Any:  # noqa: ANN401
        bits = self.xp.where(ascending < 0, -ascending | SIGN, ascending)
        return bits.astype(np.uint32).view(np.float32)

    def _host(self, array: Any) -> Any:  # noqa: ANN401
        return array if isinstance(array, np.ndarray) else self.xp.asnumpy(array)
