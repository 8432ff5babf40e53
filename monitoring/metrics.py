"""All metrics of a worker in one object, and the page that Prometheus reads.

Invariant: one registry per object, nothing global, so that two workers in one process (or two tests) do not meet.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.canary import CanaryMetrics, watch_canary
from muse_stream.monitoring.health import Health
from muse_stream.monitoring.ingest import Clock, FreshnessMetrics, IngestMetrics, watch_ingest
from muse_stream.monitoring.instruments import Sample, Scraped, ScrapeErrors
from muse_stream.monitoring.later import Folds
from muse_stream.monitoring.models import ReloadMetrics, ShadowMetrics
from muse_stream.monitoring.readings import (
    DiskReading,
    IngestReading,
    ModelReading,
    SnapshotReading,
    StaleReading,
    StoreReading,
)
from muse_stream.monitoring.repeats import LogReading
from muse_stream.monitoring.requests import QualityMetrics, RequestMetrics, watch_requests
from muse_stream.monitoring.resources import watch_disk, watch_engines, watch_models, watch_snapshots, watch_stores
from muse_stream.monitoring.restore_attempts import RestoreMetrics
from muse_stream.monitoring.shapes import EngineReading


class Metrics:
    """Counters to count with, readers to subscribe, one page to export.

    Args:
        reasons: All reject reasons there are.
        outcomes: All outcomes that an answer can have.
        version: Version of the program.
        built: Its commit, Torch's version and `cuda`, where known.
        topics: Full topic name to behaviours, users or items.
        enabled: False makes counting do nothing, to measure what it costs.

    """

    def __init__(
        self,
        *,
        reasons: Iterable[str],
        outcomes: Iterable[str],
        version: str,
        built: Mapping[str, str] | None = None,
        topics: Mapping[str, str] | None = None,
        enabled: bool = True,
    ) -> None:
        self.enabled = enabled
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._folds = folds = Folds(self.registry)
        self.errors = ScrapeErrors(self.registry)
        self.freshness = FreshnessMetrics(self.registry)
        self.ingest = IngestMetrics(self.registry, folds, self.freshness, reasons=reasons, topics=topics)
        self.requests = RequestMetrics(self.registry, folds, outcomes=outcomes)
        self.quality = QualityMetrics(self.registry, folds)
        self.canary = CanaryMetrics(self.registry)
        self.reloads = ReloadMetrics(self.registry)
        self.restores = RestoreMetrics(self.registry)
        self.shadow = ShadowMetrics(self.registry)
        known = {"version": version, **(built or {})}
        build = tuple(known.get(label, "") for label in c.BUILD_INFO.labels)
        Scraped(self.registry, "build", (c.BUILD_INFO,), lambda: [(c.BUILD_INFO, build, 1)], self.errors)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        if not enabled:
            self._silence()

    def watch_ingest(self, read: Callable[[], IngestReading], clock: Clock = time.time) -> None:
        """Export assignment, offsets and lag, read at each scrape."""
        watch_ingest(self.registry, read, self.errors, clock)

    def watch_requests(
        self, *, in_flight: Callable[[], int], queued: Callable[[], int], saturation: Callable[[], float]
    ) -> None:
        """Export how many requests are under way, how many of them wait, and how busy the search thread is."""
        watch_requests(self.registry, in_flight=in_flight, queued=queued, saturation=saturation, errors=self.errors)

    def watch_canary(self, read: Callable[[], Mapping[int, float]]) -> None:
        """Export for how long no canary of a partition has come back, read at each scrape."""
        watch_canary(self.registry, read, self.errors)

    def watch_stores(self, read: Callable[[], StoreReading]) -> None:
        """Export the size of the stores."""
        watch_stores(self.registry, read, self.errors)

    def watch_disk(self, read: Callable[[], DiskReading]) -> None:
        """Export how much room the stores have."""
        watch_disk(self.registry, read, self.errors)

    def watch_control(self, skipped: Callable[[], int], refused: Callable[[], Mapping[str, bool]]) -> None:
        """Export how much of the control topic could not be read, and in which slots what it says is refused."""

        def samples() -> Iterator[Sample]:
            yield c.MODEL_CONTROL_SKIPPED, (), skipped()
            yield from ((c.MODEL_REFUSED, (slot,), is_refused) for slot, is_refused in refused().items())

        Scraped(self.registry, "control", (c.MODEL_CONTROL_SKIPPED, c.MODEL_REFUSED), samples, self.errors)

    def watch_snapshots(self, read: Callable[[], SnapshotReading]) -> None:
        """Export how old snapshots are and what they cost."""
        watch_snapshots(self.registry, read, self.errors)

    def watch_engines(self, read: Callable[[], Sequence[EngineReading]]) -> None:
        """Export the engines' stats, one engine per vector space."""
        watch_engines(self.registry, read, self.errors)

    def watch_models(self, read: Callable[[], Sequence[ModelReading]]) -> None:
        """Export which models run."""
        watch_models(self.registry, read, self.errors)

    def watch_coverage(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Export how much of what is served has vectors in each space."""

        def samples() -> Iterator[Sample]:
            return ((c.SPACE_COVERAGE, (space,), share) for space, share in sorted(read().items()))

        Scraped(self.registry, "coverage", (c.SPACE_COVERAGE,), samples, self.errors)

    def watch_stale_copies(self, read: Callable[[], StaleReading]) -> None:
        """Export what copies of partitions that left take."""

        def samples() -> Iterator[Sample]:
            found = read()
            yield c.STALE_COPIES, (), found.count
            yield c.STALE_BYTES, (), found.bytes
            yield c.STALE_DROPPED, (), found.dropped

        Scraped(self.registry, "stale_copies", (c.STALE_COPIES, c.STALE_BYTES, c.STALE_DROPPED), samples, self.errors)

    def watch_watchdog(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Export how many partitions are stuck, by kind."""
        Scraped(
            self.registry,
            "watchdog",
            (c.STUCK,),
            lambda: [(c.STUCK, (kind,), read().get(kind, 0)) for kind in c.STUCK_KINDS],
            self.errors,
        )

    def watch_logs(self, read: Callable[[], LogReading]) -> None:
        """Export how many lines were logged."""

        def samples() -> Iterator[Sample]:
            found = read()
            yield from ((c.LOG_LINES, (level,), count) for level, count in found.lines.items())
            yield c.LOG_HELD_BACK, (), found.held_back

        Scraped(self.registry, "logs", (c.LOG_LINES, c.LOG_HELD_BACK), samples, self.errors)

    def watch_health(self, health: Health) -> None:
        """Export the health checks."""
        health.export(self.registry, self.errors)

    def fold(self) -> None:
        """Count what waits, before a part of the registry is read; who reads the whole need not."""
        self._folds.fold()

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page for `/metrics` and its content type.

        Args:
            accept: The scraper's Accept header; it chooses between the text format and OpenMetrics.

        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _silence(self) -> None:
        silent = _Silent()
        self.freshness = cast("FreshnessMetrics", silent)
        self.ingest = cast("IngestMetrics", silent)
        self.requests = cast("RequestMetrics", silent)
        self.quality = cast("QualityMetrics", silent)
        self.canary = cast("CanaryMetrics", silent)
        self.reloads = cast("ReloadMetrics", silent)
        self.restores = cast("RestoreMetrics", silent)
        self.shadow = cast("ShadowMetrics", silent)


class _Silent:
    """Stands in for a group of metrics and does nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _nothing


def _nothing(*_arguments: Any, **_options: Any) -> None:  # noqa: ANN401 -- stands in for any method
    return None
