"""How the cpu backend cuts its work."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.backends import cpu


@given(
    pairs=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 40)), max_size=12),
    threads=st.integers(1, 9),
)
@settings(max_examples=200, deadline=None)
def test_shares_cover_every_row_once_and_cost_about_the_same(pairs: list[tuple[int, int]], threads: int) -> None:
    offsets = np.concatenate(([0], np.cumsum([rows for rows, _ in pairs]))).astype(np.int64)
    candidates = np.array([count for _, count in pairs], np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "SMALL", 0)
        shares = cpu.cut(offsets, candidates, threads)
    seen = np.zeros(int(offsets[-1]), np.int64)
    costs = []
    for share in shares:
        cost = 0
        for pair, low, high, _ in share.tolist():
            assert offsets[pair] <= low < high <= offsets[pair + 1]
            seen[low:high] += 1
            cost += (high - low) * (int(candidates[pair]) + cpu.ROW_COST)
        costs.append(cost)
    assert seen.tolist() == np.repeat((candidates > 0).astype(np.int64), np.diff(offsets)).tolist()
    assert max(costs) - min(costs) <= 2 * (40 + cpu.ROW_COST) or sum(costs) == 0


def test_a_small_search_stays_on_one_thread() -> None:
    assert len(cpu.cut(np.array([0, 100]), np.array([2]), 4)) == 1
    assert len(cpu.cut(np.array([0, 100_000]), np.array([100]), 4)) == 4
