"""Metrics of ingest and freshness.

Invariant: one call per batch, whatever its size, which is counted beside others; every label child is bound at the
start; times are taken in pieces that stay in a cache near the core. So the cost is some ten microseconds per batch plus
a few passes over its times.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from prometheus_client.registry import CollectorRegistry

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.histogram import FOLD_ROWS, AgeHistogram, HistogramFamily
from muse_stream.monitoring.instruments import Sample, Scraped, ScrapeErrors, counter, counters
from muse_stream.monitoring.lag import LagClock
from muse_stream.monitoring.later import Folds
from muse_stream.monitoring.readings import IngestReading, LagReading
from muse_stream.monitoring.shapes import IngestBatch

Clock = Callable[[], float]
"""Seconds since the epoch."""


class FreshnessMetrics:
    """How old behaviours are when they can be retrieved."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.event = HistogramFamily(registry, c.FRESHNESS_EVENT, kind=AgeHistogram).only
        self.broker = HistogramFamily(registry, c.FRESHNESS_BROKER, kind=AgeHistogram).only

    def visible(self, at_ms: int, event_time_ms: NDArray[np.int64], broker_time_ms: NDArray[np.int64]) -> None:
        """Count behaviours `[n]` that became retrievable at that moment; clocks that run ahead count as age 0."""
        for first in range(0, len(event_time_ms), FOLD_ROWS):
            part = slice(first, first + FOLD_ROWS)
            self.event.observe_many(at_ms - event_time_ms[part])
            self.broker.observe_many(at_ms - broker_time_ms[part])


class IngestMetrics:
    """What was read, applied, refused, and how far behind each partition is.

    Args:
        registry: Where they are exported.
        folds: Has counted later what is told.
        freshness: Told of live behaviours.
        reasons: All reject reasons there are.
        topics: Full topic name to what it is for (a label value); by default the same.

    Attributes:
        records: Records per batch; its sum is all records read.

    """

    def __init__(
        self,
        registry: CollectorRegistry,
        folds: Folds,
        freshness: FreshnessMetrics,
        *,
        reasons: Iterable[str],
        topics: Mapping[str, str] | None = None,
    ) -> None:
        self._freshness = freshness
        self._topics = dict(topics or {name: name for name in c.TOPICS})
        roles = (*c.TOPICS, c.OTHER)
        self._consumed = counters(registry, c.INGEST_CONSUMED, roles, c.ROLES)
        self._applied = counters(registry, c.INGEST_APPLIED, roles, c.ROLES)
        self._rejected = counters(registry, c.INGEST_REJECTED, [*map(str, reasons), c.OTHER])
        self._duplicates = counter(registry, c.INGEST_DUPLICATES)
        self._erased = counter(registry, c.INGEST_ERASED)
        self._letters = counter(registry, c.INGEST_LETTERS)
        self.records = HistogramFamily(registry, c.INGEST_BATCH).only
        self._apply = HistogramFamily(registry, c.INGEST_APPLY).only
        self._stages = counters(registry, c.INGEST_STAGE, c.INGEST_STAGES)
        self._rebalances = counter(registry, c.INGEST_REBALANCES)
        self._rebalance = HistogramFamily(registry, c.INGEST_REBALANCE).only
        self._commit = HistogramFamily(registry, c.INGEST_COMMIT).only
        self._rejects = 0
        self._later = folds.later(self._count)
        for series in (self.records, freshness.event, freshness.broker):
            series.before_reading = self._later.fold

    def batch(self, batch: IngestBatch) -> None:
        """Count one batch; rejects, duplicates and freshness only where this worker owns the partition."""
        self._later.add(batch, len(batch.event_time_ms))

    @property
    def rejected(self) -> int:
        """Records rejected so far."""
        self._later.fold()
        return self._rejects

    def _count(self, batch: IngestBatch) -> None:
        labels = (self._topics.get(batch.topic, c.OTHER), c.ROLES[0 if batch.serving else 1])
        self._consumed[labels].inc(batch.records)
        self._applied[labels].inc(batch.applied)
        self.records.observe(batch.records)
        self._timed(batch.decode_seconds, batch.store_seconds, batch.engine_seconds)
        if not batch.serving:
            return
        self._outcome(batch)
        if batch.live and len(batch.event_time_ms):
            self._freshness.visible(batch.visible_at_ms, batch.event_time_ms, batch.broker_time_ms)

    def rebalanced(self) -> None:
        """Count a change of the assignment."""
        self._rebalances.inc()

    def settled(self, seconds: float) -> None:
        """Count the time of a rebalance whose partitions are ready."""
        self._rebalance.observe(seconds)

    def committed(self, seconds: float) -> None:
        """Count the time that handing positions over to Kafka took."""
        self._commit.observe(seconds)

    def _timed(self, *seconds: float) -> None:
        self._apply.observe(sum(seconds))
        for child, part in zip(self._stages.values(), seconds, strict=True):
            child.inc(part)

    def _outcome(self, batch: IngestBatch) -> None:
        for reason, count in batch.rejects.items():
            self._rejected.get((str(reason),), self._rejected[c.OTHER,]).inc(count)
            self._rejects += count
        if batch.duplicates:
            self._duplicates.inc(batch.duplicates)
        if batch.erased:
            self._erased.inc(batch.erased)
        if batch.dead_letters:
            self._letters.inc(batch.dead_letters)


def watch_ingest(
    registry: CollectorRegistry, read: Callable[[], IngestReading], errors: ScrapeErrors, clock: Clock = time.time
) -> None:
    """Export assignment, offsets and lag as they are at each scrape; a revoked partition loses its series by itself."""
    lag_clock = LagClock()
    gauges = (c.INGEST_ASSIGNED, c.INGEST_READY, c.INGEST_REPLAYED, c.INGEST_WAITING, c.INGEST_BROKER, c.INGEST_FAILED)
    held = (c.INGEST_HELD_RECORDS, c.INGEST_HELD_SECONDS)
    offsets = (c.INGEST_OFFSET, c.INGEST_END, c.INGEST_LAG_MESSAGES, c.INGEST_LAG_SECONDS, *held)
    Scraped(
        registry, "ingest", (*gauges, *offsets), lambda: _ingest_samples(read(), lag_clock, int(clock() * 1000)), errors
    )


def _ingest_samples(reading: IngestReading, lag_clock: LagClock, now_ms: int) -> Iterator[Sample]:
    yield c.INGEST_ASSIGNED, (c.ROLES[0],), reading.serving
    yield c.INGEST_ASSIGNED, (c.ROLES[1],), reading.standby
    yield c.INGEST_READY, (), reading.ready
    yield c.INGEST_REPLAYED, (), reading.replayed
    yield c.INGEST_WAITING, (), reading.waiting
    yield c.INGEST_BROKER, (), reading.broker_ok
    for reason in c.STOP_REASONS:
        yield c.INGEST_FAILED, (reason,), sum(stop.reason == reason for stop in reading.stops)
    for lag, seconds in zip(reading.lags, lag_clock.seconds(reading.lags, now_ms), strict=True):
        labels = (lag.topic, str(lag.partition))
        yield c.INGEST_OFFSET, labels, lag.position
        yield c.INGEST_END, labels, lag.known_end
        yield c.INGEST_LAG_MESSAGES, labels, lag.messages
        yield c.INGEST_LAG_SECONDS, labels, seconds
        yield c.INGEST_HELD_RECORDS, labels, lag.held_back
        yield c.INGEST_HELD_SECONDS, labels, held_seconds(lag, now_ms)


def held_seconds(lag: LagReading, now_ms: int) -> float:
    """For how long an open transaction has held records back, 0 if none does."""
    return 0.0 if lag.held_since_ms is None else max(0, now_ms - lag.held_since_ms) / 1000
