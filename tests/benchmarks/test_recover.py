"""The benchmark of restarts runs, and its stores are what it says."""

from pathlib import Path

import pytest

from muse_stream.benchmarks import recover


@pytest.mark.parametrize("ttl_seconds", [0, 1])
def test_both_openings_find_the_history(tmp_path: Path, ttl_seconds: int) -> None:
    rows = recover.run(behaviours=30_000, ttl_seconds=ttl_seconds, directory=str(tmp_path))
    cases = {row.case: row for row in rows}
    assert all(row.ours > 0 for row in rows)
    assert {"restart to ready after an orderly end", "restart to ready after a kill"} <= cases.keys()
    lengths = [int(case.split(" of ")[1].split()[0]) for case in cases if case.startswith("first read")]
    assert len(lengths) == 2
    assert lengths[0] == lengths[1] > 1_000
    assert list(tmp_path.iterdir()) == []
