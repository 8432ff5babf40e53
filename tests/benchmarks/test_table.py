"""The benchmarks of quantising and of the table run, and say what they measured."""

from pathlib import Path

import numpy as np

from muse_stream.benchmarks import incremental, quantise, table


def test_int8_rows_keep_more_than_truncated_ones() -> None:
    recall, error = quantise.run(dimensions="128", items=3_000, candidates=20)
    assert recall.ours > 0.95
    assert (recall.ratio or 0) > 1
    assert (error.ratio or 0) > 1


def test_own_vectors_can_be_measured(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((500, 64)).astype(np.float32)
    np.save(tmp_path / "own.npy", vectors)
    rows = quantise.run(file=str(tmp_path / "own.npy"), candidates=10)
    assert [row.case.split(":")[0] for row in rows] == ["d=64", "d=64"]


def test_a_table_is_filled_read_and_restarted() -> None:
    rows = {row.case: row.ours for row in table.run(items=20_000, dimension=64)}
    assert rows["bytes per item with a vector, counted"] < 64 + 4 + 24
    assert rows["index of 26666 items, bytes each"] <= 24
    assert rows["20000 items: restart from the item store"] > 0


def test_appends_slides_and_standing_answers_are_measured() -> None:
    rows = incremental.run(length=3_000, candidates=20, items=2_000, threads=1, quick=True)
    assert [row.case.split(",")[0].split(" (")[0] for row in rows] == [
        "20 candidates asked again",
        "slide by one",
        "append a row",
        "append a row",
    ]
    assert rows[0].best_peer_name == "a fresh search of ours"
    assert all(row.ours > 0 for row in rows)
