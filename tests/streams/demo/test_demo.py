"""The demo as a newcomer runs it: another process, a Kafka of its own, one JSON line at the end."""

import json
import subprocess
import sys

import pytest

PURCHASES, LONG, ADDED = 32_181, 100_000, 1


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_worker_that_is_killed_loses_and_doubles_nothing() -> None:
    command = [sys.executable, "-m", "muse_stream.streams.cli", "demo", "--once", "--kill", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=380)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert "kill -9 after" in done.stdout
    assert "equal: 0 lost, 0 doubled, of 132,182 behaviours" in done.stdout
    assert (summary["audit"]["ok"], summary["audit"]["behaviours"]) == (True, PURCHASES + LONG + ADDED)
    assert summary["failures"] == []


@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_the_demo_stores_and_answers_everything_it_sends() -> None:
    command = [sys.executable, "-m", "muse_stream.streams.cli", "demo", "--once", "--json", "--rate", "4000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    *_, before_last, last = done.stdout.splitlines()
    summary = json.loads(last)
    assert "0 dead letters" in before_last
    assert summary["behaviours_sent"] == PURCHASES + LONG + ADDED
    assert summary["behaviours_stored"] == summary["behaviours_sent"]
    assert summary["requests_sent"] == summary["requests_answered"] > 0
    assert summary["dead_letters"] == summary["requests_refused"] == 0
    assert summary["failures"] == []
    assert summary["long_history"] == LONG
    assert 0 < summary["freshness_p50_ms"] <= summary["freshness_p99_ms"]
    assert 0 < summary["latency_p50_ms"] <= summary["latency_p99_ms"]
    assert summary["long_history_retrieval_ms"] > 0
    assert summary["long_history_again_ms"] > 0
    assert summary["new_behaviour_visible_ms"] > 0
    assert summary["model_trained"]
    assert f"GAUC {summary['model_gauc']:.3f}" in done.stdout
    assert "cosine 1.000" in done.stdout
