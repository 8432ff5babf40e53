"""Keeping the K best: one 64-bit key per result, so that order and ties need no comparison of their own.

Layout of a key: upper half = the score's float32 bits made ascending as an unsigned integer, lower half = the index
of the row in its window. Larger key = higher score, and among equal scores the newer row. Key 0 is "none": no cosine
maps to it.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I64, U64
from muse_stream.gsu_engine.kernels.jit import Int, Real, inlined, inner


@inlined
def ascending(score: Real) -> Int:
    """Float32 bits, ordered as unsigned integers are: the sign bit set for positives, all inverted for negatives."""
    bits = np.uint64(np.float32(score).view(np.uint32))
    return bits ^ np.uint64(0xFFFFFFFF) if bits >> np.uint64(31) else bits | np.uint64(0x80000000)


@inlined
def score_of(bits: Int) -> Real:
    """The score that `ascending` was made from."""
    plain = bits ^ np.uint64(0x80000000) if bits >> np.uint64(31) else bits ^ np.uint64(0xFFFFFFFF)
    return np.uint32(plain).view(np.float32)


@inlined
def key_of(score: Real, index: Int) -> Int:
    """The key of a row's score."""
    return ascending(score) << np.uint64(32) | np.uint64(index)


@inner
def cut(keys: U64, count: Int, k: Int) -> Int:
    """A score, as ascending bits, that at least `k` of the keys reach: the highest, or any that exactly `k` reach.

    Halves the range of bits: passes over a few hundred keys cost less than a quickselect's mispredicted branches.
    """
    low, high = np.uint64(0), np.uint64(0)
    for i in range(count):
        high = max(high, keys[i] >> np.uint64(32))
    while low < high:
        middle = low + (high - low + np.uint64(1)) // np.uint64(2)
        reached = 0
        limit = middle << np.uint64(32)
        for i in range(count):
            reached += keys[i] >= limit
        if reached == k:
            return middle
        if reached > k:
            low = middle
        else:
            high = middle - np.uint64(1)
    return low


@inner
def tighten(keys: U64, count: Int, k: Int) -> Int:
    """Keep the `k` best of `count > k` keys that were written newest row first, in that order; returns the cut.

    Of the keys at the cut the first ones stay, which are the newest: so later, older rows have to beat the cut.
    """
    limit = cut(keys, count, k)
    above = 0
    for i in range(count):
        above += (keys[i] >> np.uint64(32)) > limit
    equals = k - above
    kept = 0
    for i in range(count):
        bits = keys[i] >> np.uint64(32)
        keys[kept] = keys[i]
        if bits > limit:
            kept += 1
        elif bits == limit and equals > 0:
            kept += 1
            equals -= 1
    return limit


@inner
def sort_best_first(keys: U64, count: Int) -> None:
    """Insertion sort of the first `count` keys: K is small, and half sorted runs are common."""
    for i in range(1, count):
        key = keys[i]
        at = i
        while at > 0 and keys[at - 1] < key:
            keys[at] = keys[at - 1]
            at -= 1
        keys[at] = key


@inner
def best_of(parts: U64, rows: I64, heads: I64, start: Int, scores: F32, positions: I64) -> Int:
    """Merge sorted rows of `parts`, 0 behind their last key, into the `[K]` best of one candidate; returns how many.

    `rows` are the rows to merge, `heads` has room for as many, `start` is the position of the window's first row.
    """
    heads[: len(rows)] = 0
    k = len(scores)
    for found in range(k):
        best, winner = np.uint64(0), 0
        for j in range(len(rows)):
            if heads[j] < parts.shape[1] and parts[rows[j], heads[j]] > best:
                best, winner = parts[rows[j], heads[j]], j
        if best == 0:
            return found
        heads[winner] += 1
        scores[found] = score_of(best >> np.uint64(32))
        positions[found] = start + np.int64(best & np.uint64(0xFFFFFFFF))
    return k
