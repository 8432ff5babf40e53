"""How a search is cut between threads."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.kernels import shares
from muse_stream.gsu_engine.kernels.forms import CANDIDATES
from muse_stream.gsu_engine.kernels.jit import compiled
from muse_stream.gsu_engine.kernels.shares import FIRST, HIGH, LAST, LOW, NEWEST, PAIR, PART, Extents

compiled_cut: Any = compiled(lambda *arguments: shares.cut(*arguments))  # noqa: PLW0108
GATHERED, PACKED = (16, 1), (6, 64)


def cut(extents: Extents, threads: int) -> tuple[list[I64], I64, int]:
    """Shares, first units, and rows of the parts."""
    pairs = len(extents.lows)
    units: I64 = np.full((pairs + threads, shares.COLUMNS), -1)
    ends, first_unit = np.full(threads + 1, -1), np.full(pairs + 1, -1)
    parts = compiled_cut(extents, threads, units, ends, first_unit)
    return [units[ends[j] : ends[j + 1]] for j in range(threads)], first_unit, parts


@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(0, 400), st.sampled_from((GATHERED, PACKED))), max_size=12
    ),
    threads=st.integers(1, 9),
)
@settings(max_examples=200, deadline=None)
def test_shares_cover_every_row_and_candidate_once_and_cost_about_the_same(
    pairs: list[tuple[int, int, tuple[int, int]]], threads: int
) -> None:
    rows, candidates = (np.array([pair[i] for pair in pairs], np.int64) for i in (0, 1))
    costs, grains = (np.array([kind[i] for _, _, kind in pairs], np.int64) for i in (0, 1))
    highs = np.cumsum(rows) + 64 * len(pairs)
    lows = highs - rows
    cuts, first_unit, parts = cut(Extents(lows, highs, costs, grains, candidates, candidates), threads)
    seen = [np.zeros((n, c), np.int64) for n, c, _ in pairs]
    newest = [np.zeros(c, np.int64) for _, c, _ in pairs]
    spent, part = [], 0
    for share in cuts:
        cost = 0.0
        for unit in share:
            pair, low, high = unit[PAIR], unit[LOW] - lows[unit[PAIR]], unit[HIGH] - lows[unit[PAIR]]
            assert unit[PART] == part
            assert low < high or rows[pair] == 0
            assert low % grains[pair] == 0
            assert unit[FIRST] % CANDIDATES == 0
            seen[pair][low:high, unit[FIRST] : unit[LAST]] += 1
            newest[pair][unit[FIRST] : unit[LAST]] += unit[NEWEST]
            part += int(unit[LAST] - unit[FIRST])
            cost += (high - low) * (unit[LAST] - unit[FIRST]) * (1 + costs[pair] / max(candidates[pair], 1))
        spent.append(cost)
    assert parts == part
    assert all((cells == 1).all() for cells in seen)
    assert all((cells == 1).all() for cells in newest)
    grain = max((max(64 * (c + kind[0]), 2 * CANDIDATES * n) for n, c, kind in pairs), default=0)
    assert max(spent) - sum(spent) / threads <= grain
    order = np.concatenate(cuts)[:, PAIR]
    assert first_unit.tolist() == np.searchsorted(order, np.arange(len(pairs) + 1)).tolist()


def alone(rows: int, candidates: int, kind: tuple[int, int] = PACKED) -> Extents:
    """One pair."""
    one = np.ones(1, np.int64)
    return Extents(0 * one, rows * one, kind[0] * one, kind[1] * one, candidates * one, candidates * one)


def test_many_candidates_are_shared_out_and_of_few_the_rows() -> None:
    def whole_rows(candidates: int, kind: tuple[int, int]) -> list[bool]:
        return [
            bool(unit[HIGH] - unit[LOW] == 10_000)
            for share in cut(alone(10_000, candidates, kind), 2)[0]
            for unit in share
        ]

    assert whole_rows(10, PACKED) == [False, False]
    assert whole_rows(500, PACKED) == [True, True]
    assert whole_rows(100, GATHERED) == [False, False]
    assert whole_rows(1_000, GATHERED) == [True, True]
