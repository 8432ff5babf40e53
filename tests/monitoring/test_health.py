"""Health: the three questions and the checks that every worker has."""

import json
from dataclasses import replace

from muse_stream.monitoring import (
    CaughtUp,
    CheckResult,
    Health,
    Heartbeats,
    IngestReading,
    LagReading,
    ModelReading,
    Probe,
    StopReading,
    gpu_check,
    held_back_check,
    model_check,
)

from .worker import Device, bare_metrics, value

PASS = CheckResult(ok=True, detail="fine")
FAIL = CheckResult(ok=False, detail="broken", advice="mend it", age_seconds=2.5)


class Clock:
    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Worker:
    """A health registry with one live and one ready check that can be switched."""

    def __init__(self) -> None:
        self.live = self.ready = PASS
        self.health = Health()
        self.health.add("loop", Probe.LIVE, lambda: self.live)
        self.health.add("model", Probe.READY, lambda: self.ready)


def test_all_well() -> None:
    answer = Worker().health.ready()
    assert answer.status == 200
    assert answer.body["status"] == "ok"
    assert [check["name"] for check in answer.body["checks"]] == ["loop", "model"]


def test_a_failing_ready_check_leaves_the_worker_live() -> None:
    worker = Worker()
    worker.ready = FAIL
    assert worker.health.live().status == 200
    answer = worker.health.ready()
    assert answer.status == 503
    assert answer.body["status"] == "failing"
    found = answer.body["checks"][1]
    assert found == {"name": "model", "ok": False, "detail": "broken", "advice": "mend it", "age_seconds": 2.5}


def test_a_failing_live_check_is_not_ready_either() -> None:
    worker = Worker()
    worker.live = FAIL
    assert worker.health.live().status == 503
    assert worker.health.ready().status == 503


def test_startup_waits_for_ready_once_and_then_stays() -> None:
    worker = Worker()
    worker.ready = FAIL
    assert worker.health.startup().status == 503
    assert worker.health.startup().body["status"] == "starting"
    worker.ready = PASS
    assert worker.health.startup().status == 200
    worker.ready = FAIL
    assert worker.health.startup().status == 200
    assert worker.health.ready().status == 503


def test_draining_is_live_but_not_ready() -> None:
    worker = Worker()
    worker.health.drain()
    assert worker.health.ready().status == 503
    assert worker.health.ready().body["status"] == "draining"
    assert worker.health.live().status == 200


def test_a_check_that_raises_has_failed() -> None:
    health = Health()

    def look() -> CheckResult:
        message = "no such file"
        raise OSError(message)

    health.add("disk", Probe.READY, look)
    found = health.ready().body["checks"][0]
    assert not found["ok"]
    assert "OSError: no such file" in found["detail"]


def test_the_body_is_json() -> None:
    assert json.loads(json.dumps(Worker().health.startup().body))["status"] == "started"


def test_checks_are_exported() -> None:
    worker, metrics = Worker(), bare_metrics()
    metrics.watch_health(worker.health)
    assert value(metrics, "muse_health_check_ok", check="model") == 1
    assert value(metrics, "muse_health_ready") == 1
    worker.ready = FAIL
    assert value(metrics, "muse_health_check_ok", check="model") == 0
    assert value(metrics, "muse_health_ready") == 0


def test_a_silent_thread_fails_until_it_moves_or_stops() -> None:
    clock = Clock()
    beats = Heartbeats(30, clock)
    assert beats.check().ok
    beats.beat("ingest")
    beats.beat("loop")
    clock.now += 29
    beats.beat("loop")
    assert beats.check().ok
    clock.now += 2
    found = beats.check()
    assert not found.ok
    assert found.detail.startswith("ingest was last seen 31.0 s ago")
    assert found.age_seconds == 31
    beats.beat("ingest")
    assert beats.check().ok
    clock.now += 40
    beats.beat("loop")
    beats.stop("ingest")
    assert beats.check().ok


class Ingest:
    """Where ingest stands; the clock is the wall clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.reading = IngestReading(2, 0, 2, 0, [self.lag(0, 0), self.lag(1, 0)])
        self.caught_up = CaughtUp(lambda: self.reading, lag_messages_max=100, stale_seconds_max=300, clock=self.clock)

    def lag(self, partition: int, messages: int) -> LagReading:
        now_ms = int(self.clock() * 1000)
        return LagReading("behaviours", partition, 1000, 1000 + messages, unread_since_ms=now_ms, end_seen_ms=now_ms)

    def stands(self, *messages: int, ready: int | None = None, failed: int = 0) -> CheckResult:
        count = len(messages)
        ready = count if ready is None else ready
        lags = [replace(self.lag(number, behind), ready=number < ready) for number, behind in enumerate(messages)]
        self.reading = IngestReading(count, 0, ready, failed, lags)
        return self.caught_up.check()


def test_restored_and_near_the_end_is_caught_up() -> None:
    assert Ingest().stands(0, 100).ok


def test_a_partition_that_replays_is_not() -> None:
    found = Ingest().stands(0, 5000, ready=1)
    assert not found.ok
    assert found.detail == "1 of 2 partitions are restored; furthest behind: behaviours/1 at 1000 of 6000"


def test_a_partition_that_never_came_near_is_not() -> None:
    found = Ingest().stands(0, 101)
    assert not found.ok
    assert found.advice


def test_once_near_it_stays_ready_until_it_is_stale() -> None:
    ingest = Ingest()
    assert ingest.stands(0, 50).ok
    assert ingest.stands(0, 90_000).ok
    behind = ingest.reading
    ingest.clock.now += 299
    assert ingest.caught_up.check().ok
    ingest.clock.now += 2
    assert not ingest.caught_up.check().ok
    ingest.reading = replace(behind, lags=[ingest.lag(0, 0), ingest.lag(1, 90_000)])
    assert not ingest.caught_up.check().ok, "fresh again, but it has to come near first"
    assert ingest.stands(0, 10).ok


def test_a_partition_that_comes_back_has_to_catch_up_again() -> None:
    ingest = Ingest()
    assert ingest.stands(0, 0).ok
    assert ingest.stands(0).ok
    assert not ingest.stands(0, 5000).ok


def test_a_stopped_partition_fails_with_advice() -> None:
    found = Ingest().stands(0, 0, failed=1)
    assert not found.ok
    assert "1 of 2 partitions stopped" in found.detail


def test_what_stopped_a_partition_is_said_where_the_alert_leads() -> None:
    ingest = Ingest()
    stops = [StopReading("position", "behaviours-0: gone. Operator action: restore."), StopReading("store", "other")]
    ingest.reading = IngestReading(3, 0, 1, 2, [], stops)
    found = ingest.caught_up.check()
    assert not found.ok
    assert found.detail.endswith("stopped: behaviours-0: gone. Operator action: restore. (and 1 more)")


def test_an_open_transaction_is_named_and_fails_nothing() -> None:
    clock = Clock()
    since_ms = int(clock() * 1000) - 95_000
    lags = [
        LagReading("behaviours", 2, 5, 5),
        LagReading("behaviours", 3, 5, 5, held_back=1200, held_since_ms=since_ms),
    ]
    found = held_back_check(lambda: IngestReading(2, 0, 2, 0, lags), clock)
    assert found.ok
    assert "behaviours/3: a transaction has been open for 95 s, 1,200 records wait" in found.detail
    assert "kafka-transactions.sh" in found.advice
    assert held_back_check(lambda: IngestReading(1, 0, 1, 0, lags[:1]), clock).advice == ""


def test_no_partitions_is_fine() -> None:
    assert Ingest().stands().ok


def test_a_lost_gpu_is_told_and_the_worker_stays_ready() -> None:
    assert gpu_check(lambda: None).detail == "none is used"
    assert gpu_check(Device).detail == "H200: 3 users are resident"
    found = gpu_check(lambda: Device(lost="Xid 79"))
    assert found.ok
    assert found.detail == "degraded: GPU lost, CPU answers (H200: Xid 79)"
    assert "nvidia-smi" in found.advice


def test_a_model_must_be_loaded() -> None:
    clock = Clock()
    assert not model_check(lambda: None, clock).ok
    found = model_check(lambda: ModelReading("best", "ab12", clock() - 60), clock)
    assert found.ok
    assert found.detail == "best (ab12)"
    assert found.age_seconds == 60


def test_a_rebalance_leaves_a_worker_ready_while_its_copies_are_asked_for_anew() -> None:
    ingest = Ingest()
    assert ingest.stands(0, 50).ok
    assert ingest.stands(0, 50, ready=0).ok, "near a moment ago, and not late"
    assert not ingest.stands(0, 50, 50, ready=0).ok, "a new one is not near before it has been ready"


def test_a_partition_that_is_being_opened_is_waited_for() -> None:
    ingest = Ingest()
    ingest.reading = IngestReading(1, 0, 0, 0, [])
    found = ingest.caught_up.check()
    assert (found.ok, found.detail) == (False, "0 of 1 partitions are restored; nothing is open yet")


def test_brokers_that_are_away_are_outlived_for_as_long_as_the_bound_says() -> None:
    ingest = Ingest()
    assert ingest.stands(0, 0).ok
    ingest.clock.now += 300
    found = ingest.caught_up.check()
    assert (found.ok, found.age_seconds) == (True, 300.0)
    ingest.clock.now += 1
    found = ingest.caught_up.check()
    assert (found.ok, found.age_seconds) == (False, 301.0)
    assert ingest.stands(0, 0).ok, "they are back"


def test_the_age_is_that_of_what_is_known_of_the_logs() -> None:
    ingest = Ingest()
    lags = list(ingest.reading.lags)
    ingest.clock.now += 7
    ingest.reading = replace(ingest.reading, lags=[lags[0], ingest.lag(1, 0)])
    assert ingest.caught_up.check().age_seconds == 7.0
    assert held_back_check(lambda: ingest.reading, ingest.clock).age_seconds == 7.0
