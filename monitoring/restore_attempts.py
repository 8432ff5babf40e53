"""Metrics of attempts to restore a store from a snapshot; how far one is, `restore_progress` tells.

Invariant: children are bound at the start; one call per attempt.
"""

from prometheus_client.registry import CollectorRegistry

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.histogram import HistogramFamily
from muse_stream.monitoring.instruments import counters


class RestoreMetrics:
    """Attempts to restore a store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = counters(registry, c.RESTORES, c.RESTORE_OUTCOMES)
        self._duration = HistogramFamily(registry, c.RESTORE_DURATION).only

    def ended(self, outcome: str, seconds: float) -> None:
        """Count one attempt: one of `catalogue.RESTORE_OUTCOMES`, and how long it took."""
        self._outcomes[outcome,].inc()
        self._duration.observe(seconds)
