"""The export benchmark runs and counts what it exports."""

from muse_stream.benchmarks import export


def test_rows_of_a_small_run() -> None:
    rows = export.run(samples=30, users=3, history=20, slate=10, threads=1)
    assert [row.unit for row in rows] == ["samples/s", "samples/s"]
    assert all(row.ours > 0 for row in rows)
