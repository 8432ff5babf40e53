"""A scrape of what a worker with 16 partitions exports: milliseconds, bytes, series.

Its stores are real and hold rows, its engine is real and empty; the rest are plain values, as many as a worker's.
"""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np

from muse_stream.benchmarks.append import behaviours, zipf_users
from muse_stream.benchmarks.report import Row
from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable
from muse_stream.monitoring import (
    CheckResult,
    DiskReading,
    Health,
    IngestReading,
    LagReading,
    Metrics,
    ModelReading,
    Probe,
    SnapshotReading,
    StaleReading,
    StoreReading,
)
from muse_stream.monitoring.repeats import RepeatLimit
from muse_stream.state.budget import StoreBudget
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.rejects import Reason

PARTITIONS = 16
ROWS = 5_000
SCRAPES = 101
CHECKS = 12
"""Health checks of a worker, about."""


def scrape() -> list[Row]:
    """Rows of one scrape: CPU and bytes in both formats, then the number of series."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as open_stores:
        budget = StoreBudget()
        stores = {number: _store(Path(scratch) / str(number), number, budget) for number in range(PARTITIONS)}
        for store in stores.values():
            open_stores.callback(store.close)
        worker = _worker(stores)
        rows = []
        for name, accept in (("text", ""), ("OpenMetrics", "application/openmetrics-text; version=1.0.0")):
            rows.append(Row(f"scrape, {PARTITIONS} partitions, {name}", _milliseconds(worker, accept), "CPU ms"))
            rows.append(Row(f"scrape, {PARTITIONS} partitions, {name}", len(worker.exposition(accept)[0]), "bytes"))
        series = sum(len(family.samples) for family in worker.registry.collect())
        return [*rows, Row(f"series, {PARTITIONS} partitions", series, "series")]


def _milliseconds(worker: Metrics, accept: str) -> float:
    took = []
    for _ in range(SCRAPES):
        began = time.thread_time()
        worker.exposition(accept)
        took.append(time.thread_time() - began)
    return float(median(took)) * 1e3


def _store(path: Path, number: int, budget: StoreBudget) -> BehaviourStore:
    store = BehaviourStore.open(
        path, StoreIdentity("benchmark", "behaviours", number, PARTITIONS), Rules(), budget=budget
    )
    rng = np.random.default_rng(number)
    store.append(behaviours(rng, zipf_users(rng, ROWS), 0, event_ids=True), position=ROWS)
    return store


def _worker(stores: dict[int, BehaviourStore]) -> Metrics:
    """Every reader that a worker subscribes."""
    worker = Metrics(reasons=map(str, Reason), outcomes=map(str, Status), version="benchmark")
    lags = [LagReading(topic, number, 5, 9) for topic in ("behaviours", "users") for number in range(PARTITIONS)]
    reading = IngestReading(PARTITIONS, 0, PARTITIONS, 0, [*lags, LagReading("items", 0, 5, 5)])
    engine = GsuEngine(VectorTable("v1", 128, ItemIndex(), 1 << 24), pool_bytes=1 << 24, backend="reference")
    health = Health()
    for number in range(CHECKS):
        health.add(f"check_{number}", Probe.READY, lambda: CheckResult(ok=True, detail="moved 0.1 s ago"))
    offsets = dict.fromkeys(range(PARTITIONS), 41)
    worker.watch_ingest(lambda: reading)
    worker.watch_requests(in_flight=lambda: 2, queued=lambda: 1, saturation=lambda: 0.5)
    worker.watch_stores(lambda: StoreReading({number: store.stats() for number, store in stores.items()}))
    worker.watch_disk(lambda: DiskReading(1, 2))
    worker.watch_control(lambda: 0, lambda: {"live": False, "shadow": False})
    worker.watch_canary(lambda: dict.fromkeys(range(PARTITIONS), 2.5))
    worker.watch_logs(RepeatLimit().reading)
    worker.watch_engines(lambda: [engine.stats()])
    worker.watch_models(lambda: [ModelReading("untrained", "abc", 1.5)])
    worker.watch_coverage(lambda: {"v1": 1.0})
    worker.watch_snapshots(lambda: SnapshotReading(60.5, offsets, written=3, failures=1, sent_bytes=9, seconds=0.5))
    worker.watch_stale_copies(lambda: StaleReading(0, 0, 0))
    worker.watch_watchdog(dict)
    worker.watch_health(health)
    return worker
