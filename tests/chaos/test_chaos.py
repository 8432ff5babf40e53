"""A short run: one fault of each kind that takes something away, two workers."""

import logging
from pathlib import Path

import pytest

from tests.chaos.plan import Plan
from tests.chaos.run import run

SCRIPT = ("kill -9", "SIGSTOP", "Kafka kill -9", "SIGTERM")


@pytest.mark.kafka
@pytest.mark.timeout(420)
def test_nothing_differs_after_a_fault_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "kafka")  # a broker that is down fills hundreds of lines, and hides the verdict
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    told: list[str] = []
    plan = Plan(seed=4, workers=2, partitions=4, rate=200.0, script=SCRIPT, keep=tmp_path / "chaos")
    report = run(plan, told.append)
    assert report.ok, "\n".join([*told, *report.lines()])
    assert set(report.faults) == set(SCRIPT)
    assert report.requests["unanswered"] == 0
    assert report.requests["computed answers checked"] > 100
    assert report.requests["answers verified"] >= report.requests["computed answers checked"]
    assert report.requests["scores verified"] > 50
    assert report.written["transactions committed"] > 5
    assert report.written["transactions aborted"] > 0
    assert report.dead_letters["letters"] > 10
    assert report.copies >= 8
    assert report.takeovers.count > 0
