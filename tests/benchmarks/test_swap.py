"""The benchmark of swaps runs small, and says of each figure what it is compared with."""

import pytest

from muse_stream.benchmarks import swap


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "AFTER_SECONDS", 0.1)
    rows = swap.run(items=500, users=3, length=100, candidates=5, rate=100, rounds=2, quiet_seconds=0.2)
    cases = [row.case for row in rows]
    assert len(cases) == len(set(cases)) == 13
    assert [row.best_peer_name for row in rows[:2]] == ["before, same run"] * 2
    assert all(row.ours >= 0 for row in rows)
    assert {row.unit for row in rows} == {"ms", "MiB", "%"}
