"""What operators see: metrics, freshness, lag, health, logs. It knows no other room; docs/metrics.md lists all metrics.

Engines and services return plain stats; the composition root hands them over, and nothing here is called per event.
"""

from muse_stream.monitoring.canary import Canaries
from muse_stream.monitoring.checks import CaughtUp, Heartbeats, gpu_check, held_back_check, model_check
from muse_stream.monitoring.health import CheckResult, Health, HealthAnswer, Probe
from muse_stream.monitoring.metrics import Metrics
from muse_stream.monitoring.models import ReloadMetrics, ShadowMetrics
from muse_stream.monitoring.readings import (
    DiskReading,
    IngestReading,
    LagReading,
    ModelReading,
    SnapshotReading,
    StaleReading,
    StopReading,
    StoreReading,
)
from muse_stream.monitoring.restore_progress import RestoreProgress
from muse_stream.monitoring.summary import Summary

__all__ = [
    "Canaries",
    "CaughtUp",
    "CheckResult",
    "DiskReading",
    "Health",
    "HealthAnswer",
    "Heartbeats",
    "IngestReading",
    "LagReading",
    "Metrics",
    "ModelReading",
    "Probe",
    "ReloadMetrics",
    "RestoreProgress",
    "ShadowMetrics",
    "SnapshotReading",
    "StaleReading",
    "StopReading",
    "StoreReading",
    "Summary",
    "gpu_check",
    "held_back_check",
    "model_check",
]
