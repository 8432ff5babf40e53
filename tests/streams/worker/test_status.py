"""What the status document says beside the data plane's own readings."""

import asyncio
import json
import logging

import msgspec
from prometheus_client import Gauge

from muse_stream.monitoring import CheckResult, Health, IngestReading, LagReading, Metrics, Probe
from muse_stream.monitoring.journal import Journal
from muse_stream.streams.wire.rejects import Reason, Reject
from muse_stream.streams.worker.status import Members, StatusPage

READING = IngestReading(serving=1, standby=0, ready=1, failed=0, lags=[LagReading("behaviours", 0, 10, 14, 1_000)])
OWN, OTHER = "http://worker-1:6066", "http://worker-2:6066/"


def measured(*, enabled: bool = True) -> Metrics:
    return Metrics(reasons=["bad_json"], outcomes=["ok"], version="1", enabled=enabled)


def page(metrics: Metrics | None = None) -> StatusPage:
    metrics = metrics or measured()
    health = Health()
    health.add("model", Probe.READY, lambda: CheckResult(ok=True, detail="warm"))
    made = StatusPage(metrics, health, lambda: READING, partition_count=4, journal=Journal())
    made.members = lambda: Members(f"{OWN}/", {OTHER: [3, 2], OWN: [0]})
    return made


def document(made: StatusPage) -> dict[str, object]:
    found: dict[str, object] = json.loads(msgspec.json.encode(made.late()[1]))
    return found


def test_it_says_who_owns_what() -> None:
    found = document(page())
    assert found["workers"] == [
        {"url": OWN, "this": True, "partitions": [0]},
        {"url": OTHER, "this": False, "partitions": [2, 3]},
    ]
    assert found["partition_count"] == 4


def test_lateness_is_told_by_partition() -> None:
    late, found = page().late()
    assert list(late) == [("behaviours", 0)]
    assert late["behaviours", 0] > 0
    assert found["lag_seconds_max"] == round(late["behaviours", 0], 3)


def test_it_judges_what_it_knows() -> None:
    found = document(page())
    assert isinstance(found["verdicts"], list)
    assert [(one["key"], one["state"]) for one in found["verdicts"]] == [
        ("ready", "ok"),
        ("fresh", "wrong"),
        ("fast", "idle"),
        ("sound", "idle"),
    ]
    assert found["health"] == {
        "ready": True,
        "status": "ok",
        "checks": [{"name": "model", "ok": True, "detail": "warm", "advice": "", "age_seconds": 0.0}],
    }


def test_dead_letters_are_told_without_what_is_in_them() -> None:
    made = page()
    made.sent([Reject("behaviours", 3, 7, Reason.BAD_JSON, "found user-17850", b"user-17850", b"{", (), 7)])
    letters = document(made)["dead_letters"]
    assert isinstance(letters, dict)
    (last,) = letters["last"]
    assert (letters["total"], last["reason"], last["topic"], last["partition"]) == (1, "bad_json", "behaviours", 3)
    assert "17850" not in json.dumps(letters)


def test_warnings_are_told() -> None:
    made = page()
    record = logging.LogRecord("muse_stream.x", logging.WARNING, "x.py", 7, "stands still", None, None)
    made._journal.handle(record)
    assert isinstance(warnings := document(made)["warnings"], list)
    assert (warnings[0]["text"], warnings[0]["place"]) == ("stands still", "x.py:7")


def test_without_metrics_there_are_no_trends() -> None:
    assert document(page(measured(enabled=False)))["trends"] is None


def test_the_canary_is_told_of_where_it_runs() -> None:
    metrics = measured()
    made = page(metrics)
    assert document(made)["canary_unseen_seconds_max"] is None
    unseen = Gauge("muse_canary_unseen_seconds", "As the canary exports it.", ["partition"], registry=metrics.registry)
    unseen.labels("0").set(2.5)
    unseen.labels("1").set(7.25)
    assert document(made)["canary_unseen_seconds_max"] == 7.25


def test_a_look_adds_a_point() -> None:
    made = page()
    asyncio.run(made.look())
    assert isinstance(trends := document(made)["trends"], dict)
    assert len(trends["points"]) == 1
