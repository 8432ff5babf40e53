"""Rows of int64 sorted by a key on disk, in bounded memory: how a join is made of two sequential passes.

Rows go to 64 bucket files by range of their key; each bucket is sorted in memory and appended. Memory: one bucket, a
64th of the rows when keys are even over their span (hashed ids and row numbers are). Disk: twice the rows while
writing.

`NAME.npy` is `[n, 1 + w] int64`, column 0 the key, rising; rows of one key keep their order. `NAME-keys.npy` is column
0 again, `[n] int64`: a binary search in it touches a few pages, in a column of rows numpy would copy it first.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

WHOLE_SPAN = (-(2**63), 2**63)
"""The span of hashed ids."""
_BUCKETS = 64


@dataclass(frozen=True, eq=False, slots=True)
class SortedRows:
    """`keys [n] int64` rising and `rows [n, 1 + w] int64`, both memory-mapped."""

    keys: Int64
    rows: Int64

    @classmethod
    def open(cls, path: Path) -> SortedRows:
        """Map what `write` wrote."""
        keys, rows = (np.load(each, mmap_mode="r", allow_pickle=False) for each in (_keys_of(path), path))
        return cls(keys, rows)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, wanted: Int64) -> Int64:
        """Index of each wanted key, -1 where there is none, `[m] int64`."""
        if not len(self.keys):
            return np.full(len(wanted), -1, np.int64)
        place = np.searchsorted(self.keys, wanted)
        place[place == len(self.keys)] = 0
        found: Int64 = np.where(self.keys[place] == wanted, place, -1)
        return found

    def values(self, wanted: Int64) -> Int64:
        """What stands beside each wanted key, `[m, w] int64`; zeros where there is none."""
        distinct, inverse = np.unique(wanted, return_inverse=True)
        index = self.find(distinct)
        found = np.zeros((len(distinct), self.rows.shape[1] - 1), np.int64)
        known = index >= 0
        found[known] = self.rows[index[known], 1:]
        return found[inverse]


def write(path: Path, pieces: Iterable[Int64], *, span: tuple[int, int]) -> SortedRows:
    """Sort pieces of `[n, 1 + w] int64` by column 0 into the file `path`; all keys lie in `span` (low, high)."""
    low, high = float(span[0]), float(span[1])
    count, width = 0, 1
    buckets = [path.with_suffix(f".{index}.bucket") for index in range(_BUCKETS)]
    with ExitStack() as stack:
        files = [stack.enter_context(bucket.open("wb")) for bucket in buckets]
        for piece in pieces:
            # float64 keeps the order of int64 (equal floats fall into one bucket), so buckets are ranges of the key
            bucket = ((piece[:, 0].astype(np.float64) - low) / (high - low) * _BUCKETS).astype(np.int64)
            bucket = np.clip(bucket, 0, _BUCKETS - 1)
            for index in np.unique(bucket).tolist():
                np.ascontiguousarray(piece[bucket == index]).tofile(files[index])
            count, width = count + len(piece), piece.shape[1]
    _gather(path, buckets, count, width)
    return SortedRows.open(path)


def _gather(path: Path, buckets: list[Path], count: int, width: int) -> None:
    """Sort each bucket and append it to `path`."""
    with path.open("wb") as file, _keys_of(path).open("wb") as keys:
        for each, shape in ((file, (count, width)), (keys, (count,))):
            np.lib.format.write_array_header_1_0(each, {"descr": "<i8", "fortran_order": False, "shape": shape})
        for bucket in buckets:
            rows = np.fromfile(bucket, "<i8").reshape(-1, width)
            bucket.unlink()
            rows = rows[np.argsort(rows[:, 0], kind="stable")]
            rows.tofile(file)
            np.ascontiguousarray(rows[:, 0]).tofile(keys)


def _keys_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}-keys.npy")
