"""One line every few seconds that says how things go, for a terminal or a log without Prometheus.

Invariant: it reads what the metrics already hold and looks only at what came since the line before.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muse_stream.monitoring.histogram import ArrayHistogram
from muse_stream.monitoring.metrics import Metrics


class _Window:
    """What a histogram got since the last look."""

    def __init__(self, series: ArrayHistogram) -> None:
        self._series = series
        self._counts, self._sum = series.snapshot()

    def look(self) -> tuple[int, float, Sequence[float | None]]:
        """Return count, sum, and [median, 99th percentile] in seconds, since the last look."""
        before, total = self._counts, self._sum
        quantiles = [self._series.quantile(share, before) for share in (0.5, 0.99)]
        self._counts, self._sum = self._series.snapshot()
        return int((self._counts - before).sum()), self._sum - total, quantiles


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """A line and whether there was anything to tell.

    Attributes:
        text: The line.
        idle: True if nothing was read and nothing answered.

    """

    text: str
    idle: bool

    @property
    def level(self) -> int:
        """Log level: idle lines are for debugging."""
        return logging.DEBUG if self.idle else logging.INFO


class Summary:
    """Makes the lines.

    Args:
        metrics: Where to look; they must be enabled.
        clock: Monotonic seconds.

    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        if not metrics.enabled:
            message = "the metrics are off, so there is nothing to sum up; set monitoring.enabled or make no Summary"
            raise ValueError(message)
        self._metrics = metrics
        self._clock = clock
        self._at = clock()
        self._rejected = metrics.ingest.rejected
        self._records = _Window(metrics.ingest.records)
        self._freshness = _Window(metrics.freshness.broker)
        self._requests = _Window(metrics.requests.duration)

    def line(self) -> SummaryLine:
        """Sum up the time since the line before."""
        now = self._clock()
        seconds = max(now - self._at, 1e-9)
        self._at = now
        _, records, _ = self._records.look()
        _, _, fresh = self._freshness.look()
        answers, _, took = self._requests.look()
        rejected = self._metrics.ingest.rejected - self._rejected
        self._rejected += rejected
        parts = [f"{records / seconds:,.0f} records/s in", f"{answers / seconds:,.1f} answers/s"]
        parts += [_pair("retrievable after", fresh), _pair("answered after", took)]
        if rejected:
            parts.append(f"{rejected:,} rejected")
        return SummaryLine(", ".join(part for part in parts if part), idle=not records and not answers)


def _pair(what: str, quantiles: Sequence[float | None]) -> str:
    median, high = quantiles
    if median is None or high is None:
        return ""
    return f"{what} p50 {median * 1000:.0f} p99 {high * 1000:.0f} ms"
