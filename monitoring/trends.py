"""How things went in the last minutes: rates and delays, for people who look without Prometheus.

Invariant: nothing here is called per event. A look every few seconds copies the counts that the metrics hold;
everything else is a difference of two looks, so that a figure tells of its window and of nothing before it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.looks import Between, Looks
from muse_stream.monitoring.metrics import Metrics

STEP_SECONDS = 2.0
"""Between two looks: short enough to see a change come, long enough to cost nothing."""
POINTS = 150
"""Five minutes of them: what an operator who was just called wants to see."""
RATE_STEPS = 5
"""A rate is of the last 10 s: steady to read, and soon after the fact."""
DELAY_STEPS = 30
"""A delay is of the last minute: a 99th percentile of fewer answers jumps about."""
IN_TIME_SECONDS = {c.FRESHNESS_BROKER.name: 1.0, c.REQUEST_DURATION.name: 0.1}
"""What the service levels are stated in, here as in the recording rules; each is a bucket's bound."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How long something took within the window.

    Attributes:
        count: How many there were.
        p50_ms: Median; None without any.
        p99_ms: 99th percentile; None without any.
        in_time_ms: What the service level asks for.
        in_time_ratio: Share within it; None without any.

    """

    count: int
    p50_ms: float | None
    p99_ms: float | None
    in_time_ms: float
    in_time_ratio: float | None


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of requests within the window.

    Attributes:
        stage: One of `catalogue.REQUEST_STAGES`.
        count: Requests that went through it.
        mean_ms: Its time, spread over all requests that were answered: these add up to the mean of the whole.
        p50_ms: Median of those that went through it.
        p99_ms: Their 99th percentile.

    """

    stage: str
    count: int
    mean_ms: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """The rates and delays of the `RATE_STEPS` before one look."""

    records_per_second: float
    answers_per_second: float
    rejected_per_second: float
    fresh_p50_ms: float | None
    fresh_p99_ms: float | None
    answer_p50_ms: float | None
    answer_p99_ms: float | None


@dataclass(frozen=True, slots=True)
class TrendReading:
    """The last minutes.

    Attributes:
        window_seconds: What delays, stages and outcomes are of.
        freshness: Broker's timestamp to retrievable.
        answers: Request's arrival to acknowledged answer.
        stages: Those that requests went through, in their order.
        outcomes: Answers within the window, by outcome; only those that there were.
        rejected: Records rejected within the window.
        records: Records read within the window.
        nonfinite: Scores within the window that were no number.
        stale: Answers within the window from a copy that was not up to date.
        points: One per step, the newest last.
        step_seconds: Between two points.

    """

    window_seconds: float
    freshness: Delay
    answers: Delay
    stages: Sequence[StageTime]
    outcomes: Mapping[str, int]
    rejected: int
    records: int
    nonfinite: int
    stale: int = 0
    points: Sequence[Point] = field(default=())
    step_seconds: float = STEP_SECONDS


class Trends:
    """Looks at the metrics and says how things went. `look` from one thread, `reading` from any.

    Args:
        metrics: Where to look; they must be enabled.
        clock: Monotonic seconds.

    Raises:
        ValueError: The metrics are off.

    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._looks = Looks(metrics, clock)
        self._lock = threading.Lock()
        self._taken = deque([self._looks.take()], DELAY_STEPS + 1)
        self._points: deque[Point] = deque(maxlen=POINTS)

    def look(self) -> None:
        """Take what the metrics hold now; call it every `STEP_SECONDS`."""
        taken = self._looks.take()
        with self._lock:
            self._taken.append(taken)
            self._points.append(_point(self._between(RATE_STEPS)))

    def reading(self) -> TrendReading:
        """The last minutes as of the last look."""
        with self._lock:
            between, points = self._between(DELAY_STEPS), tuple(self._points)
        return TrendReading(
            window_seconds=round(between.seconds, 1),
            freshness=_delay(between, c.FRESHNESS_BROKER.name),
            answers=_delay(between, c.REQUEST_DURATION.name),
            stages=_stages(between),
            outcomes=between.outcomes(),
            rejected=between.rejected,
            records=round(between.sum(c.INGEST_BATCH.name)),
            nonfinite=between.nonfinite,
            stale=between.stale,
            points=points,
        )

    def _between(self, steps: int) -> Between:
        return self._looks.between(self._taken[max(0, len(self._taken) - 1 - steps)], self._taken[-1])


def _point(between: Between) -> Point:
    seconds = between.seconds
    return Point(
        records_per_second=round(between.sum(c.INGEST_BATCH.name) / seconds, 2),
        answers_per_second=round(between.count(c.REQUEST_DURATION.name) / seconds, 2),
        rejected_per_second=round(between.rejected / seconds, 2),
        fresh_p50_ms=between.quantile_ms(c.FRESHNESS_BROKER.name, 0.5),
        fresh_p99_ms=between.quantile_ms(c.FRESHNESS_BROKER.name, 0.99),
        answer_p50_ms=between.quantile_ms(c.REQUEST_DURATION.name, 0.5),
        answer_p99_ms=between.quantile_ms(c.REQUEST_DURATION.name, 0.99),
    )


def _delay(between: Between, name: str) -> Delay:
    counts, bound = between.counts(name), IN_TIME_SECONDS[name]
    total, in_time = int(counts.sum()), int(counts[: between.bounds[name].index(bound) + 1].sum())
    return Delay(
        count=total,
        p50_ms=between.quantile_ms(name, 0.5),
        p99_ms=between.quantile_ms(name, 0.99),
        in_time_ms=bound * 1e3,
        in_time_ratio=round(in_time / total, 5) if total else None,
    )


def _stages(between: Between) -> list[StageTime]:
    answers = max(1, between.count(c.REQUEST_DURATION.name))
    return [
        StageTime(
            stage=stage,
            count=between.count(stage),
            mean_ms=round(between.sum(stage) / answers * 1e3, 3),
            p50_ms=between.quantile_ms(stage, 0.5),
            p99_ms=between.quantile_ms(stage, 0.99),
        )
        for stage in c.REQUEST_STAGES
        if between.count(stage)
    ]
