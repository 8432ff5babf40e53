"""The canary's clock and figures: what is due, what is on its way, what came back, for how long nothing has.

Invariants: a partition has one canary on its way at a time, so nothing here grows; of those sent each is seen, missed
for one reason, on its way, or of a partition that left: a revoked one takes its canary along, which is no miss.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.registry import CollectorRegistry

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.histogram import HistogramFamily
from muse_stream.monitoring.instruments import Sample, Scraped, ScrapeErrors, counter, counters

Seconds = Callable[[], float]
"""A monotonic clock."""


class CanaryMetrics:
    """What became of the canaries."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sent = counter(registry, c.CANARY_SENT)
        self._seen = counter(registry, c.CANARY_SEEN)
        self._missed = counters(registry, c.CANARY_MISSED, c.CANARY_MISSED_REASONS)
        self._freshness = HistogramFamily(registry, c.CANARY_FRESHNESS).only

    def sent(self) -> None:
        """Count one that was sent."""
        self._sent.inc()

    def seen(self, seconds: float) -> None:
        """Count one that came back so long after it was produced."""
        self._seen.inc()
        self._freshness.observe(seconds)

    def missed(self, reason: str) -> None:
        """Count one that did not; `reason` is one of `CANARY_MISSED_REASONS`."""
        self._missed[reason,].inc()


@dataclass(slots=True)
class _Line:
    """One owned partition.

    Attributes:
        due: When its next canary is to be sent.
        seen: When the last one that came back was produced; before the first: since when the partition is owned.
        number: Of the latest canary; those of one assignment count from 0.
        produced: When that was produced, as far as is known; None while nothing is on its way.

    """

    due: float
    seen: float
    number: int = -1
    produced: float | None = None


class Canaries:
    """Follows the canaries of the owned partitions. Used by one thread, except `unseen_seconds`.

    Args:
        metrics: Told what becomes of them.
        interval_seconds: Between two of one partition.
        timeout_seconds: After which one that did not come back is missed.
        clock: Monotonic, in seconds.

    """

    def __init__(
        self,
        metrics: CanaryMetrics,
        *,
        interval_seconds: float,
        timeout_seconds: float,
        clock: Seconds = time.monotonic,
    ) -> None:
        self._metrics, self._clock = metrics, clock
        self._interval, self._timeout = interval_seconds, timeout_seconds
        self._lines: dict[int, _Line] = {}

    def assigned(self, partitions: Iterable[int]) -> None:
        """Own exactly these: those that were owned go on, new ones begin one after the other within an interval."""
        wanted, now = sorted(partitions), self._clock()
        kept = {partition: line for partition, line in self._lines.items() if partition in wanted}
        new = [partition for partition in wanted if partition not in kept]
        for place, partition in enumerate(new, 1):
            kept[partition] = _Line(due=now + place * self._interval / len(new), seen=now)
        self._lines = kept

    def due(self, ready: Callable[[int], bool] = lambda partition: True) -> list[tuple[int, int]]:
        """Partitions whose next canary is to be sent now, with its number; each is on its way from here on.

        One that has been on its way for too long is missed first; one that has not holds the next one back. Nothing
        is sent for a partition that is not `ready`, which other figures tell of, and `unseen_seconds` too.
        """
        now, found = self._clock(), []
        for partition, line in self._lines.items():
            if line.produced is not None and now - line.produced >= self._timeout:
                self.missed(partition, line.number, "no_answer")
            if now < line.due or line.produced is not None:
                continue
            line.due = now + self._interval
            if ready(partition):
                line.number += 1
                line.produced = now
                self._metrics.sent()
                found.append((partition, line.number))
        return found

    def produced(self, partition: int, number: int) -> None:
        """Count the freshness of a canary from now on."""
        if (line := self._on_its_way(partition, number)) is not None:
            line.produced = self._clock()

    def seen(self, partition: int, number: int) -> bool:
        """Say that a canary came back; False where it is not on its way any more."""
        line = self._on_its_way(partition, number)
        if line is None or line.produced is None:
            return False
        self._metrics.seen(self._clock() - line.produced)
        line.seen, line.produced = line.produced, None
        return True

    def missed(self, partition: int, number: int, reason: str) -> bool:
        """Say that a canary did not come back; False where it is not on its way any more."""
        line = self._on_its_way(partition, number)
        if line is None:
            return False
        self._metrics.missed(reason)
        line.produced = None
        return True

    def dropped(self, partition: int, number: int) -> None:
        """Say that nothing follows from a canary: what it was to find has changed meanwhile."""
        if (line := self._on_its_way(partition, number)) is not None:
            line.produced = None

    def unseen_seconds(self) -> dict[int, float]:
        """For how long nothing of each owned partition has come back; any thread."""
        now = self._clock()
        return {partition: max(0.0, now - line.seen) for partition, line in list(self._lines.items())}

    def _on_its_way(self, partition: int, number: int) -> _Line | None:
        line = self._lines.get(partition)
        return line if line is not None and line.number == number and line.produced is not None else None


def watch_canary(registry: CollectorRegistry, read: Callable[[], Mapping[int, float]], errors: ScrapeErrors) -> None:
    """Export `Canaries.unseen_seconds` as it is at each scrape; a revoked partition loses its series by itself."""

    def samples() -> Iterator[Sample]:
        return ((c.CANARY_UNSEEN, (str(partition),), seconds) for partition, seconds in sorted(read().items()))

    Scraped(registry, "canary", (c.CANARY_UNSEEN,), samples, errors)
