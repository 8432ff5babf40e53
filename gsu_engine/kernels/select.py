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
def cut(marker: Int, scores: Int, count: Int, wanted: tuple[Int, Int], low: Real) -> tuple[Real, Real]:
    """`(low, high)`: of a sealed list at least `wanted[0]` scores reach `low`, fewer reach `high`; see `tighten`.

    Either no more than `wanted[1]` reach `low`, or no number lies between the two. Halves the range: passes over a few
    hundred scores cost less than a quickselect's mispredicted branches.
    """
    high = BEYOND
    while True:
        middle = np.float32(0.5) * (low + high)
        if not low < middle < high or (low == 0 and high <= NOTHING_BETWEEN):
            return low, high
        reached = lists.reach(marker, scores, count, middle)
        if wanted[0] <= reached <= wanted[1]:
            return middle, high
        if reached > wanted[1]:
            low = middle
        else:
            high = middle


@inner
def tighten(marker: Int, scores: F32, indices: U32, count: Int, wanted: tuple[Int, Int], low: Real) -> tuple[Int, Real]:
    """Keep the best of a list that was written newest row first, in that order; returns how many, and the cut.

    Of `count` rows, all above `low`, no fewer than `wanted[0]` are kept and no more than `wanted[1]`: the wider apart,
    the sooner it is done. Of those at the cut the first ones stay, which are the newest: so later, older rows have to
    beat the cut.
    """
    lists.seal(marker, scores.ctypes.data, count)
    low, high = cut(marker, scores.ctypes.data, count, wanted, low)
    kept = lists.keep(marker, scores.ctypes.data, indices.ctypes.data, count, low)
    if kept <= wanted[1]:
        return kept, low
    lists.seal(marker, scores.ctypes.data, kept)
    equals = wanted[0] - lists.reach(marker, scores.ctypes.data, kept, high)
    place = 0
    for i in range(kept):
        scores[place], indices[place] = scores[i], indices[i]
        if scores[i] >= high:
            place += 1
        elif equals > 0:
            place += 1
            equals -= 1
    return wanted[0], low


@inner
def sort_best_first(marker: Int, scores: F32, indices: U32, count: Int, keys: U64, ranks: I64, out: U64) -> None:
    """Keys of a list into `out[:count]`, best first: a key's place is how many are larger, counted without a branch."""
    for i in range(count):
        keys[i] = key_of(scores[i], indices[i])
    if count > 0:
        lists.rank(marker, keys.ctypes.data, count, ranks.ctypes.data)
    for i in range(count):
        out[ranks[i]] = keys[i]


@inner
def unpack(keys: U64, start: Int, scores: F32, positions: I64) -> Int:
    """See `best_of`, for one row."""
    found = 0
    for i in range(len(keys)):
        there = keys[i] != 0
        scores[i] = score_of(keys[i] >> np.uint64(32)) if there else np.float32(0)
        positions[i] = start + np.int64(keys[i] & np.uint64(0xFFFFFFFF)) if there else -1
        found += there
    return found


@inner
def best_of(parts: U64, rows: I64, heads: I64, start: Int, scores: F32, positions: I64) -> Int:
    """Merge sorted rows of `parts`, 0 behind their last key, into the `[K]` best of one candidate; returns how many.

    `rows` are the rows to merge, `heads` has room for as many, `start` is the position of the window's first row.
    Behind the last one comes score 0 at position -1.
    """
    k = len(scores)
    if len(rows) == 1:
        return unpack(parts[rows[0]], start, scores, positions)
    heads[: len(rows)] = 0
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
