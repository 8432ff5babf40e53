"""Keeping the K best of a candidate's list, and one 64-bit key per result, so that merging compares once.

Layout of a key: upper half = the score's float32 bits made ascending as an unsigned integer, lower half = the index
of the row in its window. Larger key = higher score, and among equal scores the newer row. Key 0 is "none": no cosine
maps to it.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I64, U32, U64
from muse_stream.gsu_engine.kernels import lists
from muse_stream.gsu_engine.kernels.jit import Int, Real, inlined, inner

BEYOND = np.float32(1.5)  # no cosine is above, nor its negative below
NOTHING_BETWEEN = np.float32(2**-26)  # and 0: the product of the smallest inverse norms, `contract.SMALLEST`, is above


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
def cut(marker: Int, scores: Int, count: Int, k: Int, low: Real) -> tuple[Real, Real]:
    """`(low, high)`: at least `k` scores of a sealed list reach `low`, fewer reach `high`; see `tighten`.

    Either exactly `k` reach `low`, or no number lies between the two. Halves the range: passes over a few hundred
    scores cost less than a quickselect's mispredicted branches.
    """
    high = BEYOND
    while True:
        middle = np.float32(0.5) * (low + high)
        if not low < middle < high or (low == 0 and high <= NOTHING_BETWEEN):
            return low, high
        reached = lists.reach(marker, scores, count, middle)
        if reached == k:
            return middle, high
        if reached > k:
            low = middle
        else:
            high = middle


@inner
def tighten(marker: Int, scores: F32, indices: U32, count: Int, k: Int, low: Real) -> Real:
    """Keep the `k` best of `count > k` that were written newest row first, in that order; returns the cut.

    All scores are above `low`. Of those at the cut the first ones stay, which are the newest: so later, older rows
    have to beat the cut.
    """
    lists.seal(marker, scores.ctypes.data, count)
    low, high = cut(marker, scores.ctypes.data, count, k, low)
    kept = lists.keep(marker, scores.ctypes.data, indices.ctypes.data, count, low)
    if kept > k:
        lists.seal(marker, scores.ctypes.data, kept)
        equals = k - lists.reach(marker, scores.ctypes.data, kept, high)
        place = 0
        for i in range(kept):
            scores[place], indices[place] = scores[i], indices[i]
            if scores[i] >= high:
                place += 1
            elif equals > 0:
                place += 1
                equals -= 1
    return low


@inner
def sort_best_first(scores: F32, indices: U32, count: Int, keys: U64, out: U64) -> None:
    """Keys of a list into `out[:count]`, best first: a key's place is how many are larger, counted without a branch."""
    for i in range(count):
        keys[i] = key_of(scores[i], indices[i])
    for i in range(count):
        key, place = keys[i], np.int64(0)
        for j in range(count):
            place += keys[j] > key
        out[place] = key


@inner
def best_of(parts: U64, rows: I64, heads: I64, start: Int, scores: F32, positions: I64) -> Int:
    """Merge sorted rows of `parts`, 0 behind their last key, into the `[K]` best of one candidate; returns how many.

    `rows` are the rows to merge, `heads` has room for as many, `start` is the position of the window's first row.
    Behind the last one comes score 0 at position -1.
    """
    heads[: len(rows)] = 0
    k = len(scores)
    for found in range(k):
        best, winner = np.uint64(0), 0
        for j in range(len(rows)):
            if heads[j] < parts.shape[1] and parts[rows[j], heads[j]] > best:
                best, winner = parts[rows[j], heads[j]], j
        if best == 0:
            scores[found:], positions[found:] = 0, -1
            return found
        heads[winner] += 1
        scores[found] = score_of(best >> np.uint64(32))
        positions[found] = start + np.int64(best & np.uint64(0xFFFFFFFF))
    return k
