"""The last minutes: rates and delays of a window, and nothing of what was before it."""

import numpy as np
import pytest

from muse_stream.monitoring import Metrics
from muse_stream.monitoring.trends import DELAY_STEPS, POINTS, RATE_STEPS, STEP_SECONDS, Trends

from .worker import Batch, bare_metrics


class Watched:
    """Metrics, and trends of them on a clock of their own."""

    def __init__(self) -> None:
        self.metrics, self.now = bare_metrics(), 0.0
        self.metrics.requests.answered("error", 0.9)
        self.trends = Trends(self.metrics, lambda: self.now)

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.now += STEP_SECONDS
            self.trends.look()


def test_a_rate_is_of_the_last_seconds() -> None:
    watched = Watched()
    watched.metrics.ingest.batch(Batch(records=400, rejects={"bad_json": 20}))
    for _ in range(30):
        watched.metrics.requests.answered("ok", 0.004)
    watched.steps(RATE_STEPS)
    (*_, last) = watched.trends.reading().points
    assert (last.records_per_second, last.answers_per_second, last.rejected_per_second) == (40.0, 3.0, 2.0)
    watched.steps(1)
    assert watched.trends.reading().points[-1].records_per_second == 0.0


def test_delays_and_outcomes_are_of_the_last_minute() -> None:
    watched = Watched()
    for seconds in [0.012] * 98 + [0.2] * 2:
        watched.metrics.requests.answered("ok" if seconds < 0.1 else "timeout", seconds)
    times = np.array([900] * 9 + [0], np.int64)
    watched.metrics.ingest.batch(Batch(records=10, event_time_ms=times, broker_time_ms=times, visible_at_ms=1_001))
    watched.steps(1)
    found = watched.trends.reading()
    assert (found.answers.count, found.answers.in_time_ratio, found.answers.in_time_ms) == (100, 0.98, 100.0)
    assert found.answers.p50_ms == pytest.approx(12.5, abs=2.5)
    assert found.answers.p99_ms == pytest.approx(175, abs=75)
    assert found.outcomes == {"ok": 98, "timeout": 2}
    assert (found.freshness.count, found.freshness.in_time_ratio, found.records) == (10, 0.9, 10)
    watched.steps(DELAY_STEPS)
    quiet = watched.trends.reading()
    assert (quiet.answers.count, quiet.answers.p99_ms, quiet.answers.in_time_ratio, quiet.outcomes) == (
        0,
        None,
        None,
        {},
    )


def test_means_of_stages_add_up_to_the_whole() -> None:
    watched = Watched()
    for _ in range(4):
        watched.metrics.requests.answered("ok", 0.010, {"decode": 0.001, "gsu": 0.006, "encode": 0.003})
    watched.metrics.requests.answered("malformed", 0.001, {"decode": 0.001})
    watched.steps(1)
    found = {stage.stage: stage for stage in watched.trends.reading().stages}
    assert list(found) == ["decode", "gsu", "encode"]
    assert (found["decode"].count, found["gsu"].count) == (5, 4)
    assert sum(stage.mean_ms for stage in found.values()) == pytest.approx(41 / 5)


def test_scores_that_are_no_number_and_late_copies_are_told() -> None:
    watched = Watched()
    watched.metrics.quality.scored(np.array([0.5, np.nan, np.inf]))
    watched.metrics.requests.stale()
    watched.steps(1)
    assert (watched.trends.reading().nonfinite, watched.trends.reading().stale) == (2, 1)


def test_before_the_first_look_there_is_nothing_and_later_only_the_last_minutes() -> None:
    watched = Watched()
    assert watched.trends.reading().points == ()
    assert watched.trends.reading().stages == []
    watched.steps(POINTS + 7)
    assert len(watched.trends.reading().points) == POINTS


def test_metrics_that_are_off_have_no_trends() -> None:
    with pytest.raises(ValueError, match="metrics are off"):
        Trends(Metrics(reasons=[], outcomes=[], version="1", enabled=False))
