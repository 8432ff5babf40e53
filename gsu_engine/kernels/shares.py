"""Cutting a search into shares of equal cost, one per thread."""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.kernels.jit import Int, inner, kernel


class Extents(NamedTuple):
    """The rows of P pairs."""

    lows: I64  # [P] first row
    highs: I64  # [P] end of its rows
    costs: I64  # [P] what a row costs beside its products, in products
    grains: I64  # [P] rows are cut at multiples of this from `lows` on
    searched: I64  # [P] candidates that the rows are scanned for
    asked: I64  # [P] all candidates of the pair: they need the newest rows at least


@inner
def put(units: I64, unit: Int, pair: Int, low: Int, high: Int, parts: Int) -> None:
    """Write a unit."""
    units[unit, 0] = pair
    units[unit, 1] = low
    units[unit, 2] = high
    units[unit, 3] = parts


@kernel
def cut(extents: Extents, threads: Int, small: Int, units: I64, shares: I64, first_unit: I64) -> Int:
    """Cut the rows of all pairs into shares of equal cost, a single one where all cost no more than `small`.

    Args:
        extents: The pairs; one that is asked for nothing is in no share.
        threads: Most shares.
        small: In products.
        units: Out: `[P + threads, 5]` pair, low, high, its first row in the parts, whether the pair's last row is in.
        shares: Out: `[threads + 1]` share j: `units[shares[j]:shares[j + 1]]`.
        first_unit: Out: `[P + 1]` pair p: `units[first_unit[p]:first_unit[p + 1]]`.

    Returns:
        Rows of the parts in all: one per unit and candidate.

    """
    pairs = len(extents.lows)
    total = np.int64(0)
    for pair in range(pairs):
        candidates = extents.searched[pair]
        if candidates > 0:
            total += (extents.highs[pair] - extents.lows[pair]) * (candidates + extents.costs[pair])
    count = 1 if total <= small else threads
    unit, parts, spent, share = np.int64(0), np.int64(0), np.int64(0), 1
    shares[0] = 0
    for pair in range(pairs):
        first_unit[pair] = unit
        candidates = extents.searched[pair]
        low, high = extents.lows[pair], extents.highs[pair]
        cost = candidates + extents.costs[pair]
        if extents.asked[pair] > 0 and (candidates == 0 or low >= high):
            put(units, unit, pair, high, high, parts)
            units[unit, 4] = True
            unit += 1
            parts += candidates
            continue
        while candidates > 0 and low < high:
            end = high
            if share < count:
                grain = extents.grains[pair]
                left = max(total * share // count - spent, 0)
                end = min(low + (left // cost + grain) // grain * grain, high)  # grains from `low` on: at least one
            put(units, unit, pair, low, end, parts)
            units[unit, 4] = end == high
            unit += 1
            parts += candidates
            spent += (end - low) * cost
            low = end
            while share < count and spent >= total * share // count:
                shares[share] = unit
                share += 1
    first_unit[pairs] = unit
    shares[share:] = unit
    return parts
