"""From the data plane to monitoring's plain readings, and to the status document."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from muse_stream.gsu_engine.stats import DeviceStats
from muse_stream.monitoring import DiskReading, IngestReading, LagReading, StopReading, StoreReading
from muse_stream.state.store import StoreStats
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.ingest.status import PartitionState, Phase, Stopped
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.data_plane import DataPlane


def ingest_reading(plane: DataPlane, settings: Settings) -> IngestReading:
    """Where ingest stands: partitions by role and state, lag per topic partition."""
    states = list(plane.ingest.states().values())
    everything = [*states, plane.items.state()]
    return IngestReading(
        serving=sum(state.serving for state in states),
        standby=sum(not state.serving for state in states),
        ready=sum(state.ready for state in states),
        failed=sum(state.phase is Phase.FAILED for state in states),
        lags=[lag for state in everything for lag in _lags(state, settings)],
        stops=[
            StopReading(str(state.stopped or Stopped.FAULT), state.error.partition("\n")[0])
            for state in everything
            if state.error
        ],
        waiting=sum(any(log.waiting for log in state.logs.values()) for state in everything),
        replayed=min((_replayed(state) for state in everything if not state.error), default=1.0),
        broker_ok=not (plane.ingest.health().broker_error or plane.items.health().broker_error),
    )


def _replayed(state: PartitionState) -> float:
    """Share read of what the logs of a partition had unread at the assignment; 0 before its store is open."""
    return min((log.replayed for log in state.logs.values()), default=0.0)


def topic_roles(settings: Settings) -> dict[str, str]:
    """Topic name to what it is for, as metrics name it."""
    topics = settings.topics
    return {topics.behaviours: "behaviours", topics.users: "users", topics.items: "items"}


def _lags(state: PartitionState, settings: Settings) -> list[LagReading]:
    roles = topic_roles(settings)
    return [
        LagReading(
            roles[topic],
            state.partition,
            log.position,
            log.end,
            log.last_broker_time_ms,
            log.end_seen_ms,
            log.held_back,
            log.held_since_ms,
            state.ready,
        )
        for topic, log in state.logs.items()
    ]


def store_reading(plane: DataPlane) -> StoreReading:
    """What the worker has on disk."""
    cache_bytes, _ = plane.budget.used_bytes()
    return StoreReading(stores=store_stats(plane), items=plane.item_store.stats(), cache_bytes=cache_bytes)


def disk_reading(directory: Path) -> DiskReading:
    """The file system that the stores are on. Raises OSError: the directory is gone."""
    found = shutil.disk_usage(directory)
    return DiskReading(found.free, found.total)


def store_stats(plane: DataPlane) -> dict[int, StoreStats]:
    """Stats of every open store by partition; one that leaves meanwhile is left out."""
    found = {}
    for partition in plane.ingest.stores.partitions():
        try:
            with plane.ingest.stores.lease(partition) as store:
                found[partition] = store.stats()
        except PartitionNotHereError:
            continue
    return found


Late = Mapping[tuple[str, int], float]
"""Seconds that a partition of a topic is late, by what the topic is for and the partition's number."""


def status(plane: DataPlane, settings: Settings, late: Late = MappingProxyType({})) -> dict[str, Any]:
    """The status document: partitions, item tables, engine; for people, the demo and `muse-stream check`."""
    engine, roles = plane.engine.stats(), topic_roles(settings)
    return {
        "app": settings.app.name,
        "cluster": plane.cluster,
        "space": plane.space,
        "partitions": [_partition(state, roles, late) for _, state in sorted(plane.ingest.states().items())],
        "items": {**_partition(plane.items.state(), roles, late), "version": plane.item_feed.version},
        "behaviours_stored": sum(one.behaviours for one in store_stats(plane).values()),
        "engine": {
            "backend": engine.backend,
            "why": engine.why,
            "resident_users": engine.pool.users,
            "resident_behaviours": engine.pool.behaviours,
            "pool_bytes": engine.pool.bytes,
            "pool_budget_bytes": engine.pool.budget_bytes,
            "evictions": engine.pool.evictions,
            "vectors": engine.table.rows,
            "searches": engine.searches,
            "gpu": _gpu(engine.device),
        },
    }


def _gpu(device: DeviceStats | None) -> dict[str, Any] | None:
    if device is None:
        return None
    return {
        "name": device.name,
        "lost": device.lost,
        "resident_users": device.histories.users,
        "resident_behaviours": device.histories.behaviours,
        "pool_bytes": device.histories.bytes,
        "vector_bytes": device.vector_bytes,
        "answered": device.answered,
        "elsewhere": dict(device.elsewhere),
        "ways": dict(device.ways.chosen),
        "graphs": device.ways.graphs,
        "replays": device.ways.replays,
    }


def _partition(state: PartitionState, roles: Mapping[str, str], late: Late) -> dict[str, Any]:
    return {
        "partition": state.partition,
        "serving": state.serving,
        "ready": state.ready,
        "phase": str(state.phase),
        "error": state.error,
        "logs": {
            topic: {
                "position": log.position,
                "end": log.end,
                "lag_messages": log.lag_messages,
                "lag_seconds": round(late.get((roles[topic], state.partition), 0.0), 3),
                "held_back": log.held_back,
                "waiting": log.waiting,
            }
            for topic, log in state.logs.items()
        },
    }
