"""One line every few seconds that says how things go, for a terminal or a log without Prometheus.

Invariant: it reads what the metrics already hold and looks only at what came since the line before.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.looks import Between, Looks
from muse_stream.monitoring.metrics import Metrics


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

    Raises:
        ValueError: The metrics are off.

    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._looks = Looks(metrics, clock)
        self._before = self._looks.take()

    def line(self) -> SummaryLine:
        """Sum up the time since the line before."""
        before, self._before = self._before, self._looks.take()
        since = self._looks.between(before, self._before)
        records, answers = since.sum(c.INGEST_BATCH.name), since.count(c.REQUEST_DURATION.name)
        parts = [f"{records / since.seconds:,.0f} records/s in", f"{answers / since.seconds:,.1f} answers/s"]
        parts.append(_delay("retrievable after", since, c.FRESHNESS_BROKER.name))
        parts.append(_delay("answered after", since, c.REQUEST_DURATION.name))
        if since.rejected:
            parts.append(f"{since.rejected:,} rejected")
        return SummaryLine(", ".join(part for part in parts if part), idle=not records and not answers)


def _delay(what: str, since: Between, name: str) -> str:
    median, high = since.quantile_ms(name, 0.5), since.quantile_ms(name, 0.99)
    return "" if median is None or high is None else f"{what} p50 {median:.0f} p99 {high:.0f} ms"
