"""What is said of a worker: one question at a time, who is to blame, what to do."""

from dataclasses import replace

import pytest

from muse_stream.monitoring import IngestReading, LagReading, StopReading
from muse_stream.monitoring.trends import Delay, StageTime, TrendReading
from muse_stream.monitoring.verdicts import State, fast, fresh, ready, sound

CALM = TrendReading(
    window_seconds=60.0,
    freshness=Delay(1_000, 18.0, 47.0, 1_000.0, 0.9995),
    answers=Delay(500, 5.0, 14.0, 25.0, 0.998),
    stages=[StageTime("decode", 500, 0.2, 0.2, 0.4), StageTime("gsu", 500, 3.1, 3.0, 9.0)],
    outcomes={"ok": 500},
    rejected=0,
    records=1_000,
    nonfinite=0,
)
LAGS = [LagReading("behaviours", 0, 90, 100), LagReading("behaviours", 1, 500, 12_404)]
READING = IngestReading(serving=2, standby=0, ready=2, failed=0, lags=LAGS)


def test_a_worker_in_good_order_needs_nobody() -> None:
    body = {"status": "ok", "checks": [{"name": "model", "ok": True, "detail": "warm", "advice": ""}]}
    found = [fresh(READING, [0.0, 1.2], CALM), fast(CALM), sound(CALM), ready(body)]
    assert [(one.key, one.state, one.advice) for one in found] == [
        ("fresh", State.OK, ""),
        ("fast", State.OK, ""),
        ("sound", State.OK, ""),
        ("ready", State.OK, ""),
    ]
    assert found[0].text == "99.95% of 1,000 behaviours were retrievable within 1 s"


def test_a_stopped_partition_is_told_before_all_else() -> None:
    stops = [StopReading("position", "behaviours-3: the log begins at 90"), StopReading("store", "disk")]
    found = fresh(replace(READING, failed=2, stops=stops), [0.0, 99.0], CALM)
    assert (found.state, found.text) == (State.WRONG, "stopped: behaviours-3: the log begins at 90 (and 1 more)")
    assert found.advice


def test_partitions_that_catch_up_name_the_furthest() -> None:
    found = fresh(replace(READING, ready=1), [0.0, 0.0], CALM)
    assert found.state is State.WATCH
    assert found.text == "1 of 2 partitions catch up; furthest behind is behaviours partition 1, by 11,904 records"


@pytest.mark.parametrize(("seconds", "state"), [(4.9, State.OK), (6.0, State.WATCH), (61.0, State.WRONG)])
def test_a_late_partition_is_named(seconds: float, state: State) -> None:
    found = fresh(READING, [0.0, seconds], CALM)
    assert found.state is state
    assert ("behaviours partition 1" in found.text) is (state is not State.OK)


def test_without_partitions_or_behaviours_there_is_little_to_say() -> None:
    nothing = IngestReading(serving=0, standby=0, ready=0, failed=0, lags=[])
    assert fresh(nothing, [], CALM).state is State.WATCH
    assert fresh(READING, [0.0, 0.0], None).state is State.IDLE


@pytest.mark.parametrize(("ratio", "state"), [(0.99, State.OK), (0.98, State.WATCH), (0.4, State.WRONG)])
def test_late_behaviours_and_slow_answers(ratio: float, state: State) -> None:
    trend = replace(CALM, freshness=replace(CALM.freshness, in_time_ratio=ratio))
    assert fresh(READING, [0.0, 0.0], trend).state is state
    found = fast(replace(CALM, answers=replace(CALM.answers, in_time_ratio=ratio)))
    assert found.state is state
    assert ("most of it in gsu, 3.1 ms a request" in found.text) is (state is not State.OK)
    assert ("engine.threads" in found.advice) is (state is not State.OK)


def test_nothing_asked_is_idle() -> None:
    quiet = replace(CALM, answers=Delay(0, None, None, 25.0, None), outcomes={})
    assert (fast(quiet).state, sound(quiet).state, fast(None).state, sound(None).state) == (State.IDLE,) * 4


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({"nonfinite": 3}, State.WRONG, "no numbers"),
        ({"outcomes": {"ok": 900, "overload": 100}}, State.WRONG, "100 overload"),
        ({"outcomes": {"ok": 994, "not_ready": 6}}, State.WATCH, "6 not ready"),
        ({"outcomes": {"ok": 9_999, "error": 1}}, State.OK, "10,000 answers, 1 error"),
        ({"outcomes": {"ok": 95, "error": 5}}, State.OK, "100 answers, 5 error"),
        ({"outcomes": {"ok": 10, "malformed": 90}}, State.OK, "100 answers, 90 malformed"),
        ({"rejected": 12}, State.WATCH, "12 of 1,000 records"),
        ({"rejected": 1}, State.OK, "500 answers, 1 of 1,000 records rejected"),
    ],
)
def test_what_is_not_sound(changes: dict[str, object], state: State, words: str) -> None:
    found = sound(replace(CALM, **changes))  # type: ignore[arg-type]
    assert found.state is state
    assert words in found.text
    assert bool(found.advice) is (state is not State.OK)


def test_failing_checks_are_named_and_drains_are_told() -> None:
    bad = {"name": "model", "ok": False, "detail": "no model is loaded", "advice": "wait"}
    partitions = {"name": "partitions", "ok": False, "detail": "1 of 2", "advice": "restart"}
    found = ready({"status": "failing", "checks": [bad, partitions]})
    assert (found.state, found.text, found.advice) == (State.WRONG, "model: no model is loaded (and 1 more)", "wait")
    assert ready({"status": "failing", "checks": [partitions]}).advice == "see the partitions"
    assert ready({"status": "draining", "checks": [{**bad, "ok": True}]}).state is State.WATCH
