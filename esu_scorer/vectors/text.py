"""Texts as bags of hashed n-grams: what an item's title says, in a fixed width and without a vocabulary to keep.

A text is lower-cased and split at white space; every word, with a space on each side, gives its runs of 3 to 5
characters and itself whole. Characters are Unicode code points. A run `c_1..c_n` hashes to bucket

    h = n * K1 + seed, then for every c: h = (h + c) * K2;   bucket = mix(h) mod width     (all mod 2^64)

with n = 0 for a whole word, K1, K2 and the mixer of splitmix64 as below. Runs that share a bucket are one.

Weights are TF-IDF: `(1 + log count) * (1 + log((1 + texts) / (1 + texts with it)))`, each text scaled to unit length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
UInt64 = npt.NDArray[np.uint64]

WIDTH = 1 << 15
RUNS = (3, 4, 5)
_CHUNK = 4_096  # texts hashed at once: some 10 MB of working memory for titles
_K1, _K2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1342543DE82EF95)
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


@dataclass(frozen=True, eq=False, slots=True)
class Bags:
    """n sparse rows: row i has `weight[offset[i]:offset[i + 1]]` in the columns `bucket[...]`, ascending.

    Attributes:
        bucket: `[M] int64` in `0..width-1`.
        weight: `[M] float32`; a row has unit length, or is empty.
        offset: `[n + 1] int64`.
        width: Number of columns.

    """

    bucket: Int64
    weight: Float32
    offset: Int64
    width: int

    def __len__(self) -> int:
        return len(self.offset) - 1

    @property
    def row(self) -> Int64:
        """Row number of each entry, `[M] int64`."""
        return np.repeat(np.arange(len(self)), np.diff(self.offset))

    def take(self, rows: Int64) -> Bags:
        """Some rows, in the order given."""
        sizes = np.diff(self.offset)[rows]
        offset = np.concatenate([[0], np.cumsum(sizes)])
        entry = np.arange(offset[-1]) + np.repeat(self.offset[rows] - offset[:-1], sizes)
        return Bags(self.bucket[entry], self.weight[entry], offset, self.width)


def hash_texts(texts: Sequence[str], *, width: int = WIDTH, seed: int = 0) -> Bags:
    """Bags of `n` texts. A text without a single word gives an empty row."""
    parts = [_counts(texts[first : first + _CHUNK], first, width, seed) for first in range(0, len(texts), _CHUNK)]
    code, count = (np.concatenate(columns) for columns in zip(*parts, strict=True)) if parts else (_none(), _none())
    row, bucket = np.divmod(code, width)
    holding = np.bincount(bucket, minlength=width)  # [width] texts with the bucket
    inverse = 1 + np.log((1 + len(texts)) / (1 + holding))
    weight = (1 + np.log(count)) * inverse[bucket]
    length = np.sqrt(np.bincount(row, weight * weight, minlength=len(texts)))
    offset = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(texts)))])
    return Bags(bucket, (weight / length[row]).astype(np.float32), offset, width)


def _counts(texts: Sequence[str], first: int, width: int, seed: int) -> tuple[Int64, Int64]:
    """Codes `text * width + bucket`, ascending, and how often each occurs."""
    words = [(row, f" {word} ") for row, text in enumerate(texts, first) for word in text.lower().split()]
    if not words:
        return _none(), _none()
    size = np.array([len(word) for _, word in words])
    text = np.frombuffer("".join(word for _, word in words).encode("utf-32-le", "surrogatepass"), np.uint32)
    owner = np.array([row for row, _ in words])
    letters, word_of = text.astype(np.uint64), np.repeat(np.arange(len(words)), size)
    codes = [owner * width + _bucket(_whole(letters, size, seed), width)]
    for run in RUNS:
        last = word_of[run - 1 :]  # of each run's last letter
        start = np.flatnonzero(word_of[: len(last)] == last)
        codes.append(owner[word_of[start]] * width + _bucket(_runs(letters, start, run, seed), width))
    return np.unique(np.concatenate(codes), return_counts=True)


def _runs(letters: UInt64, start: Int64, run: int, seed: int) -> UInt64:
    """Hash of each run of `run` letters."""
    state = np.full(len(start), _seeded(run, seed), np.uint64)
    for step in range(run):
        state = (state + letters[start + step]) * _K2
    return state


def _whole(letters: UInt64, size: Int64, seed: int) -> UInt64:
    """Hash of each word with its spaces."""
    start = np.cumsum(size) - size
    state = np.full(len(size), _seeded(0, seed), np.uint64)
    for step in range(int(size.max())):
        longer = np.flatnonzero(size > step)
        state[longer] = (state[longer] + letters[start[longer] + step]) * _K2
    return state


def _seeded(run: int, seed: int) -> int:
    return (run * int(_K1) + seed) % (1 << 64)


def _bucket(state: UInt64, width: int) -> Int64:
    for shift, factor in _MIX:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return ((state ^ (state >> np.uint64(31))) % np.uint64(width)).astype(np.int64)


def _none() -> Int64:
    return np.empty(0, np.int64)
