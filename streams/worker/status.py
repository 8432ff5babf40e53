"""What the status document has for people: who owns what, how it went, what is wrong and what to do.

Invariant: additions only; what `readings.status` says stays as it is. Any thread may ask, and nothing waits for Kafka.
"""

import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import muse_stream
from muse_stream.monitoring import Health, IngestReading, Metrics, verdicts
from muse_stream.monitoring.journal import Journal, Letters
from muse_stream.monitoring.lag import LagClock
from muse_stream.monitoring.trends import TrendReading, Trends
from muse_stream.streams.wire.rejects import Reject
from muse_stream.streams.worker.build import built
from muse_stream.streams.worker.readings import Late

CANARY = "muse_canary_unseen_seconds"
"""Exported where a canary runs; the page tells of it where it is there."""


@dataclass(frozen=True, slots=True)
class Members:
    """The workers of the group, as the last assignment told this one.

    Attributes:
        own_url: Base URL of this worker.
        partitions: Base URL to the partitions owned.

    """

    own_url: str = ""
    partitions: Mapping[str, Iterable[int]] = field(default_factory=dict)


class Lateness:
    """How late partitions are, told from one look to the next. Any thread."""

    def __init__(self) -> None:
        self._clock = LagClock()
        self._lock = threading.Lock()

    def seconds(self, reading: IngestReading) -> list[float]:
        """Seconds of each of the reading's lags."""
        with self._lock:
            return self._clock.seconds(reading.lags, int(time.time() * 1000))


class StatusPage:
    """Gathers what the page shows beside the data plane's own readings.

    Args:
        metrics: Counts; where they are off there are no trends.
        health: The checks.
        read_ingest: Where ingest stands.
        partition_count: Partitions of the requests topic.
        journal: The last warnings.

    Attributes:
        letters: The last dead letters.
        members: Who is in the group; set by whoever runs the application.

    """

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        read_ingest: Callable[[], IngestReading],
        *,
        partition_count: int,
        journal: Journal,
    ) -> None:
        self._journal, self.letters = journal, Letters()
        self.members: Callable[[], Members] = Members
        self._trends = Trends(metrics) if metrics.enabled else None
        self._health, self._read_ingest, self._partition_count = health, read_ingest, partition_count
        self._lateness = Lateness()
        self._canary = metrics.registry.restricted_registry([CANARY])
        self._started_ms = int(time.time() * 1000)

    async def look(self) -> None:
        """Look at the metrics; called every `trends.STEP_SECONDS`."""
        if self._trends:
            self._trends.look()

    def sent(self, rejects: Sequence[Reject]) -> None:
        """Note dead letters that the broker has."""
        self.letters.note([(str(one.reason), one.topic, one.partition, one.offset) for one in rejects])

    def late(self) -> tuple[Late, dict[str, Any]]:
        """Seconds by partition, and the sections of the document that are this class's."""
        reading, trend = self._read_ingest(), self._trends.reading() if self._trends else None
        seconds = self._lateness.seconds(reading)
        late = {(lag.topic, lag.partition): late for lag, late in zip(reading.lags, seconds, strict=True)}
        return late, self._sections(reading, seconds, trend)

    def _sections(self, reading: IngestReading, seconds: Sequence[float], trend: TrendReading | None) -> dict[str, Any]:
        health = self._health.ready()
        judged = [
            verdicts.ready(health.body),
            verdicts.fresh(reading, seconds, trend),
            verdicts.fast(trend),
            verdicts.sound(trend),
        ]
        return {
            "at_ms": int(time.time() * 1000),
            "started_ms": self._started_ms,
            "worker": {"url": self.members().own_url, "host": platform.node(), "process": os.getpid()},
            "build": build(),
            "partition_count": self._partition_count,
            "workers": self._workers(),
            "verdicts": judged,
            "health": {"ready": health.ok, **health.body},
            "lag_seconds_max": round(max(seconds, default=0.0), 3),
            "canary_unseen_seconds_max": self._canary_unseen(),
            "trends": trend,
            "warnings": self._journal.last(),
            "dead_letters": {"total": self.letters.total, "last": self.letters.last()},
        }

    def _canary_unseen(self) -> float | None:
        """How long ago the last canary was sent that came through, of the worst partition; None without any."""
        seconds = [sample.value for family in self._canary.collect() for sample in family.samples]
        return round(max(seconds), 3) if seconds else None

    def _workers(self) -> list[dict[str, Any]]:
        members = self.members()
        return [
            {"url": url, "this": url.rstrip("/") == members.own_url.rstrip("/"), "partitions": sorted(owned)}
            for url, owned in sorted(members.partitions.items())
        ]


@cache
def build() -> dict[str, str]:
    """Versions of what answers here; what is not known is left out."""
    found = {"muse-stream": muse_stream.__version__, "python": platform.python_version(), **built()}
    return {name: text for name, text in found.items() if text}
