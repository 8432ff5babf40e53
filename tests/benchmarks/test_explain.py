"""The benchmark of explanations runs, and its cases are those that it names."""

from muse_stream.benchmarks import explain


def test_a_short_run() -> None:
    rows = explain.run(counts=(1,), giant=3, repeats=1)
    assert [row.case for row in rows] == [
        "score, C=1",
        "weights and blocks, C=1",
        "explain all, C=1",
        "leave one out, C=1",
        "features of 3 candidates",
    ]
    assert all(row.ours > 0 for row in rows)
    assert rows[-1].best_peer is not None
