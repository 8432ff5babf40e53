"""How a search is cut between threads."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.kernels import shares
from muse_stream.gsu_engine.kernels.shares import Extents


def cut(extents: Extents, threads: int, small: int = 0) -> tuple[list[I64], I64, int]:
    """Shares, first units, and rows of the parts."""
    pairs = len(extents.lows)
    units: I64 = np.full((pairs + threads, 5), -1)
    ends, first_unit = np.full(threads + 1, -1), np.full(pairs + 1, -1)
    parts = shares.cut(extents, threads, small, units, ends, first_unit)
    return [units[ends[j] : ends[j + 1]] for j in range(threads)], first_unit, parts


@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(0, 40), st.sampled_from(((16, 1), (6, 64)))), max_size=12
    ),
    threads=st.integers(1, 9),
)
@settings(max_examples=200, deadline=None)
def test_shares_cover_every_row_once_and_cost_about_the_same(
    pairs: list[tuple[int, int, tuple[int, int]]], threads: int
) -> None:
    rows, candidates = (np.array([pair[i] for pair in pairs], np.int64) for i in (0, 1))
    costs, grains = (np.array([kind[i] for _, _, kind in pairs], np.int64) for i in (0, 1))
    highs = np.cumsum(rows) + 5
    lows = highs - rows
    cuts, first_unit, parts = cut(Extents(lows, highs, costs, grains, candidates, candidates), threads)
    seen = np.zeros(int(rows.sum()) + 5, np.int64)
    spent, place = [], 0
    for share in cuts:
        cost = 0
        for pair, low, high, first, newest in share.tolist():
            assert lows[pair] <= low <= high <= highs[pair]
            assert low < high or rows[pair] == 0
            assert (low - lows[pair]) % grains[pair] == 0
            assert newest == (high == highs[pair])
            assert first == place
            place += int(candidates[pair])
            seen[low:high] += 1
            cost += (high - low) * (int(candidates[pair]) + int(costs[pair]))
        spent.append(cost)
    assert parts == place
    assert seen[5:].tolist() == np.repeat((candidates > 0).astype(np.int64), rows).tolist()
    assert max(spent) - sum(spent) / threads <= 64 * (40 + 16)
    order = np.concatenate(cuts)[:, 0]
    assert first_unit.tolist() == np.searchsorted(order, np.arange(len(pairs) + 1)).tolist()


def test_a_small_search_stays_on_one_thread() -> None:
    def busy(rows: int, candidates: int) -> int:
        one = np.ones(1, np.int64)
        extents = Extents(0 * one, rows * one, one, one, candidates * one, candidates * one)
        return sum(len(share) > 0 for share in cut(extents, 4, small=1 << 17)[0])

    assert busy(100, 2) == 1
    assert busy(100_000, 100) == 4
