"""A worker whose GPU fails goes on, and says so wherever an operator looks."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.monitoring import Health, Metrics, Probe, gpu_check
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker import readings
from tests.gsu_engine.cuda.stand_in import StandInBackend


class Source:
    def items(self, user: int) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        return 0, np.arange(1, 6)


def test_a_gpu_that_fails_shows_in_metrics_health_and_status() -> None:
    backend = StandInBackend(ReferenceBackend())
    table = VectorTable("v1", 64, ItemIndex(max_items=100), budget_bytes=1 << 12)
    engine = GsuEngine(table, cap=100, pool_bytes=1 << 16, backend=backend)
    metrics = Metrics(reasons=(), outcomes=(), version="1")
    metrics.watch_engines(lambda: [engine.stats()])
    health = Health()
    health.add("gpu", Probe.READY, lambda: gpu_check(lambda: engine.stats().device))
    engine.prefetch(1, Source())
    assert metrics.registry.get_sample_value("muse_engine_info", {"backend": "cuda"}) == 1
    assert metrics.registry.get_sample_value("muse_gpu_pool_users") == 1
    assert health.ready().body["checks"][0]["detail"] == "NumPy: 1 users are resident"
    backend.devices[0].fail_after(0)
    engine.append(np.array([1]), np.array([5]), np.array([0, 1]), np.array([7]))
    assert metrics.registry.get_sample_value("muse_engine_info", {"backend": "reference"}) == 1
    assert metrics.registry.get_sample_value("muse_gpu_lost_total") == 1
    answer = health.ready()
    assert answer.ok
    assert answer.body["checks"][0]["detail"].startswith("degraded: GPU lost, CPU answers (NumPy: the test took")
    status = status_of(engine)["gpu"]
    assert status["lost"] == "the test took the device away"
    assert (status["ways"], status["graphs"], status["replays"]) == ({}, 0, 0)
    assert status_of(GsuEngine(table, backend="reference"))["gpu"] is None


def status_of(engine: GsuEngine) -> dict[str, Any]:
    """The engine's part of the status document."""
    state = SimpleNamespace(partition=0, serving=True, ready=True, phase="ready", stopped=None, error="", logs={})
    ingest = SimpleNamespace(states=dict, stores=SimpleNamespace(partitions=list))
    items = SimpleNamespace(state=lambda: state)
    feed = SimpleNamespace(version=1)
    plane: Any = SimpleNamespace(engine=engine, cluster="c", space="v1", ingest=ingest, items=items, item_feed=feed)
    found: dict[str, Any] = readings.status(plane, Settings())["engine"]
    return found
