from muse_stream.benchmarks import esu


def test_both_forms_agree_and_are_compared_per_count() -> None:
    rows = esu.run((1, 3), seconds_per_case=0.0, items=2000)
    assert [row.case for row in rows] == ["score C=1", "score C=3"]
    assert all(row.best_peer_name == esu.PEER and row.ours > 0 for row in rows)
