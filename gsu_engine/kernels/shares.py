"""Cutting a search into shares of equal cost, one per thread.

A share is a run of units; a unit is a row of int64 (columns below): a range of a pair's rows against a range of its
candidates. A pair that lies on a cut between shares is cut by candidates where it has enough of them and its rows cost
little to read again: each candidate is then compared with all rows by one thread, which finds a good limit sooner, and
nothing has to be merged. Else it is cut by rows, and the threads' best are merged.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.kernels.forms import CANDIDATES
from muse_stream.gsu_engine.kernels.jit import Int, inner

# FIRST and LAST of the pair's candidates, PART: first row in the parts, NEWEST: whether the pair's last row is in.
PAIR, LOW, HIGH, FIRST, LAST, PART, NEWEST = range(7)
COLUMNS = 7
CANDIDATES_PER_COST = 4  # cut by candidates from so many per thread on, in what reading a row costs: 25 % more work


class Extents(NamedTuple):
    """The rows of P pairs."""

    lows: I64  # [P] first row
    highs: I64  # [P] end of its rows
    costs: I64  # [P] what a row costs beside its products, in products
    grains: I64  # [P] rows are cut at multiples of this from `lows` on
    searched: I64  # [P] candidates that the rows are scanned for
    asked: I64  # [P] all candidates of the pair: they need the newest rows at least


@inner
def put(units: I64, at: I64, pair: Int, rows: tuple[Int, Int], candidates: tuple[Int, Int], newest: Int) -> None:
    """Write unit `at[0]`, whose parts begin at `at[1]`, and step on."""
    unit = units[at[0]]
    unit[PAIR], unit[PART], unit[NEWEST] = pair, at[1], newest
    unit[LOW], unit[HIGH] = rows
    unit[FIRST], unit[LAST] = candidates
    at[0] += 1
    at[1] += candidates[1] - candidates[0]


@inner
def put_range(units: I64, at: I64, extents: Extents, pair: Int, span: tuple[Int, Int], by_candidates: Int) -> None:
    """Write a unit of a pair: `span` of its candidates over all rows, or of its rows over all candidates."""
    low, high, candidates = extents.lows[pair], extents.highs[pair], extents.searched[pair]
    if by_candidates:
        put(units, at, pair, (low, high), span, 1)
    else:
        put(units, at, pair, (low + span[0], low + span[1]), (0, candidates), low + span[1] == high)


@inner
def whole(extents: Extents) -> Int:
    """What all pairs cost, in products."""
    total = np.int64(0)
    for pair in range(len(extents.lows)):
        candidates = extents.searched[pair]
        if candidates > 0:
            total += (extents.highs[pair] - extents.lows[pair]) * (candidates + extents.costs[pair])
    return total


@inner
def cut(extents: Extents, threads: Int, units: I64, shares: I64, first_unit: I64) -> Int:
    """Cut all pairs into shares of equal cost.

    Args:
        extents: The pairs; one that is asked for nothing is in no share.
        threads: Most shares.
        units: Out: `[P + threads, COLUMNS]`.
        shares: Out: `[threads + 1]` share j: `units[shares[j]:shares[j + 1]]`.
        first_unit: Out: `[P + 1]` pair p: `units[first_unit[p]:first_unit[p + 1]]`.

    Returns:
        Rows of the parts in all: one per unit and candidate.

    """
    total = whole(extents)
    at, spent, share = np.zeros(2, np.int64), np.int64(0), 1
    shares[0] = 0
    for pair in range(len(extents.lows)):
        first_unit[pair] = at[0]
        candidates, rows = extents.searched[pair], extents.highs[pair] - extents.lows[pair]
        if extents.asked[pair] > 0 and (candidates == 0 or rows <= 0):
            put(units, at, pair, (extents.highs[pair], extents.highs[pair]), (0, candidates), 1)
            continue
        by_candidates = candidates >= CANDIDATES_PER_COST * extents.costs[pair] * threads
        steps, cost, grain = rows, candidates + extents.costs[pair], extents.grains[pair]
        if by_candidates:
            steps, cost, grain = candidates, rows + rows * extents.costs[pair] // candidates, np.int64(CANDIDATES)
        done = np.int64(0)
        while candidates > 0 and done < steps:
            end = steps
            if share < threads:
                left = max(total * share // threads - spent, 0)
                end = min(done + (left // cost + grain) // grain * grain, steps)  # at least one grain
            put_range(units, at, extents, pair, (done, end), by_candidates)
            spent += (end - done) * cost
            done = end
            while share < threads and spent >= total * share // threads:
                shares[share] = at[0]
                share += 1
    first_unit[len(extents.lows)] = at[0]
    shares[share:] = at[0]
    return at[1]
