from muse_stream.benchmarks import threads


def test_every_pair_is_measured_alone_and_beside_reading() -> None:
    rows = threads.run(length=300, candidates=8, items=1_000, rounds=2)
    cases = [row.case for row in rows]
    assert cases[:2] == ["search on 1, scorer on 1: p50", "search on 1, scorer on 1: p99"]
    assert any(case.endswith("beside reading: reading late, p99") for case in cases)
    assert len(cases) == len(set(cases)) == len(rows)
    assert all(row.ours > 0 for row in rows if "late" not in row.case)
