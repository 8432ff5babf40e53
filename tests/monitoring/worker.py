"""A worker's stats as plain values, and its metrics with every reader subscribed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from muse_stream.monitoring import (
    CheckResult,
    DiskReading,
    Health,
    IngestReading,
    Metrics,
    ModelReading,
    Probe,
    SnapshotReading,
    StaleReading,
    StoreReading,
)
from muse_stream.monitoring.repeats import RepeatLimit

REASONS = ("bad_json", "wrong_partition")
OUTCOMES = ("ok", "client_error", "timeout", "overload", "error")
NO_TIMES = np.empty(0, np.int64)


@dataclass(frozen=True)
class Batch:
    topic: str = "behaviours"
    serving: bool = True
    records: int = 0
    applied: int = 0
    duplicates: int = 0
    erased: int = 0
    rejects: Mapping[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    event_time_ms: NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)
    broker_time_ms: NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)
    visible_at_ms: int = 0
    live: bool = True
    decode_seconds: float = 0.0
    store_seconds: float = 0.0
    engine_seconds: float = 0.0


@dataclass(frozen=True)
class Condition:
    write_seconds: float = 0.5
    stall_seconds: float = 0.25
    delayed: bool = False
    pending_compaction_bytes: int = 0
    background_errors: int = 0


@dataclass(frozen=True)
class Store:
    behaviours: int = 0
    put_bytes: int = 0
    merges: int = 0
    cold_tails: int = 0
    disk_bytes: int = 0
    memtable_bytes: int = 0
    window: int = 0
    truncated: int = 0
    condition: Condition = Condition()


@dataclass(frozen=True)
class Items:
    position: int = 7
    rows: int = 9
    disk_bytes: int = 1000


@dataclass(frozen=True)
class Table:
    space: str = "v1"
    rows: int = 10
    bytes: int = 2000
    refused: int = 1


@dataclass(frozen=True)
class Index:
    items: int = 12
    bytes: int = 300
    refused: int = 2


@dataclass(frozen=True)
class Pool:
    users: int = 3
    behaviours: int = 40
    bytes: int = 160
    budget_bytes: int = 1000
    evictions: int = 4


@dataclass(frozen=True)
class Packed:
    users: int = 2
    bytes: int = 900
    budget_bytes: int = 1_000
    hits: int = 3
    misses: int = 4
    evictions: int = 1
    answers: int = 30
    served: int = 40
    rows_scored: int = 50
    refills: int = 6


@dataclass(frozen=True)
class Device:
    name: str = "H200"
    lost: str | None = None
    histories: Pool = Pool()
    vector_bytes: int = 700
    searches: int = 8
    answered: int = 9
    elsewhere: Mapping[str, int] = field(default_factory=lambda: {"no_room": 2, "lost": 1})
    wait_seconds: float = 0.125


@dataclass(frozen=True)
class Engine:
    backend: str = "cpu"
    pool: Pool = Pool()
    table: Table = Table()
    index: Index = Index()
    packed: Packed | None = Packed()
    device: Device | None = None
    hits: int = 5
    misses: int = 6
    searches: int = 7
    candidates: int = 80
    search_seconds: float = 0.5
    load_seconds: float = 0.25


def bare_metrics() -> Metrics:
    return Metrics(reasons=REASONS, outcomes=OUTCOMES, version="1.2.3")


def idle() -> IngestReading:
    return IngestReading(serving=0, standby=0, ready=0, failed=0, lags=[])


def full_metrics(ingest: Callable[[], IngestReading] = idle) -> Metrics:
    metrics = bare_metrics()
    metrics.watch_ingest(ingest)
    metrics.watch_canary(lambda: {0: 2.5})
    metrics.watch_requests(in_flight=lambda: 2, queued=lambda: 1, saturation=lambda: 0.25)
    metrics.watch_logs(RepeatLimit().reading)
    metrics.watch_stores(lambda: StoreReading({0: Store(behaviours=5)}, Items()))
    metrics.watch_disk(lambda: DiskReading(free_bytes=40, size_bytes=100))
    metrics.watch_control(lambda: 2, lambda: {"live": True, "shadow": False})
    metrics.watch_snapshots(lambda: SnapshotReading(60.5, {2: 41}, written=3, failures=1, sent_bytes=900, seconds=0.5))
    metrics.watch_engines(lambda: [Engine()])
    metrics.watch_models(lambda: [ModelReading("untrained", "abc", 1.5)])
    metrics.watch_coverage(lambda: {"v1": 1.0, "v2": 0.42})
    health = Health()
    health.add("model", Probe.READY, lambda: CheckResult(ok=True, detail="warm"))
    metrics.watch_stale_copies(lambda: StaleReading(2, 1_000, 1))
    metrics.watch_watchdog(lambda: {"requests": 1})
    metrics.watch_health(health)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)
