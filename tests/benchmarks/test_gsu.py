"""The retrieval benchmarks run, compare with a peer that agrees, and say what they measured."""

from pathlib import Path

import numpy as np
import pytest

from muse_stream.benchmarks import gsu, gsu_peers, quantise, table


def test_searches_are_compared_with_the_peers_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gsu_peers, "PEERS", {"NumPy": gsu_peers.NumPy, "Torch": gsu_peers.Torch, "none": missing})
    rows = gsu.run(lengths="300", candidates="1,7", k=20, items=500, backend="cpu", threads=1, quick=True)
    assert [row.case for row in rows] == ["L=300 C=1 K=20", "L=300 C=7 K=20"]
    assert all(row.best_peer_name in {"NumPy", "Torch"} and row.ours > 0 for row in rows)


def missing(rows: gsu_peers.F32, threads: int) -> gsu_peers.Peer:
    message = f"no library for {len(rows)} rows on {threads} threads"
    raise ImportError(message)


def test_a_peer_that_is_not_exact_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Rough(gsu_peers.NumPy):
        def best_scores(self, answer: tuple[gsu_peers.F32, object]) -> gsu_peers.F32:
            return answer[0] + np.float32(0.01)

    monkeypatch.setattr(gsu_peers, "PEERS", {"rough": Rough})
    rows = gsu.run(lengths="300", candidates="2", items=500, backend="reference", threads=1, quick=True)
    assert rows[0].best_peer_name is None
    assert "rough, not exact" in capsys.readouterr().err


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
