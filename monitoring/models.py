"""Metrics of models that come into service, and of the shadow beside the one that answers.

Invariant: children are bound at the start; a compared request costs one counter and two observations, all its
candidates' differences one call.
"""

import numpy as np
from numpy.typing import NDArray
from prometheus_client.registry import CollectorRegistry

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.histogram import HistogramFamily
from muse_stream.monitoring.instruments import counters


class ReloadMetrics:
    """Attempts to bring a model into service."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = counters(registry, c.MODEL_RELOADS, c.MODEL_SLOTS, c.RELOAD_OUTCOMES)
        self._duration = HistogramFamily(registry, c.MODEL_RELOAD_DURATION).only

    def ended(self, slot: str, outcome: str, seconds: float) -> None:
        """Count one attempt: its slot, one of `catalogue.RELOAD_OUTCOMES`, and how long it took."""
        self._outcomes[slot, outcome].inc()
        self._duration.observe(seconds)


class ShadowMetrics:
    """Requests that a second model scored, and how far it was from the answer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = counters(registry, c.SHADOW_REQUESTS, c.SHADOW_OUTCOMES)
        self._difference = HistogramFamily(registry, c.SHADOW_DIFFERENCE).only
        self._rank = HistogramFamily(registry, c.SHADOW_RANK).only

    def compared(self, differences: NDArray[np.floating], rank_difference: float) -> None:
        """Count one request: `[C]` absolute differences of its scores, and the mean shift in rank."""
        self._outcomes["compared",].inc()
        self._difference.observe_many(differences)
        self._rank.observe(rank_difference)

    def left_out(self, outcome: str, requests: int = 1) -> None:
        """Count requests of the share that were not compared: one of `catalogue.SHADOW_OUTCOMES`."""
        self._outcomes[outcome,].inc(requests)
