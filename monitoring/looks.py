"""Looks at what the metrics hold, and what came between two of them: what the summary line and the trends are made of.

Invariant: nothing here is called per event; a look copies counts, and a figure is a difference of two looks.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.histogram import ArrayHistogram, quantile
from muse_stream.monitoring.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Look:
    """What the metrics held at one moment.

    Attributes:
        at: Seconds of the clock.
        counts: Series to its counts per bucket `[bounds + 1] int64`.
        sums: Series to the sum of its values.
        outcomes: Answers by outcome.
        rejected: Records rejected.
        nonfinite: Scores that were no number.
        stale: Answers from a copy that was not up to date.

    """

    at: float
    counts: Mapping[str, NDArray[np.int64]]
    sums: Mapping[str, float]
    outcomes: Mapping[str, float]
    rejected: int
    nonfinite: int
    stale: int


@dataclass(frozen=True, slots=True)
class Between:
    """What came between two looks; series go by the names that `Looks` knows."""

    first: Look
    last: Look
    bounds: Mapping[str, Sequence[float]]

    @property
    def seconds(self) -> float:
        """From the first to the last, above 0."""
        return max(self.last.at - self.first.at, 1e-9)

    @property
    def rejected(self) -> int:
        """Records rejected."""
        return self.last.rejected - self.first.rejected

    @property
    def nonfinite(self) -> int:
        """Scores that were no number."""
        return self.last.nonfinite - self.first.nonfinite

    @property
    def stale(self) -> int:
        """Answers from a copy that was not up to date."""
        return self.last.stale - self.first.stale

    def counts(self, name: str) -> NDArray[np.int64]:
        """Values per bucket `[bounds + 1] int64`."""
        return self.last.counts[name] - self.first.counts[name]

    def count(self, name: str) -> int:
        """How many values."""
        return int(self.counts(name).sum())

    def sum(self, name: str) -> float:
        """The values' sum."""
        return self.last.sums[name] - self.first.sums[name]

    def outcomes(self) -> dict[str, int]:
        """Answers by outcome; only those that there were."""
        found = {name: round(count - self.first.outcomes[name]) for name, count in self.last.outcomes.items()}
        return {name: count for name, count in found.items() if count}

    def quantile_ms(self, name: str, share: float) -> float | None:
        """A quantile of a series of seconds; None without values."""
        found = quantile(self.bounds[name], self.counts(name), share)
        return None if found is None else round(found * 1e3, 3)


class Looks:
    """Takes looks; from one thread.

    Its series: the catalogue's `INGEST_BATCH`, `FRESHNESS_BROKER` and `REQUEST_DURATION`, each under its name, and
    those of `REQUEST_STAGES`.

    Args:
        metrics: Where to look; they must be enabled.
        clock: Monotonic seconds.

    Raises:
        ValueError: The metrics are off.

    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        if not metrics.enabled:
            message = "the metrics are off, so there is nothing to look at; set monitoring.enabled or do not look"
            raise ValueError(message)
        self._metrics, self._clock = metrics, clock
        self._series: Mapping[str, ArrayHistogram] = {
            c.INGEST_BATCH.name: metrics.ingest.records,
            c.FRESHNESS_BROKER.name: metrics.freshness.broker,
            c.REQUEST_DURATION.name: metrics.requests.duration,
            **metrics.requests.stages,
        }
        self._bounds = {name: series.bounds for name, series in self._series.items()}
        self._totals = metrics.registry.restricted_registry(
            [c.REQUESTS.name, c.MODEL_NONFINITE.name, c.REQUESTS_STALE.name]
        )

    def take(self) -> Look:
        """What the metrics hold now."""
        self._metrics.fold()
        taken = {name: series.snapshot() for name, series in self._series.items()}
        samples = [sample for family in self._totals.collect() for sample in family.samples]
        return Look(
            at=self._clock(),
            counts={name: counts for name, (counts, _) in taken.items()},
            sums={name: total for name, (_, total) in taken.items()},
            outcomes={one.labels["outcome"]: one.value for one in samples if one.name == c.REQUESTS.name},
            rejected=self._metrics.ingest.rejected,
            nonfinite=round(sum(one.value for one in samples if one.name == c.MODEL_NONFINITE.name)),
            stale=round(sum(one.value for one in samples if one.name == c.REQUESTS_STALE.name)),
        )

    def between(self, first: Look, last: Look) -> Between:
        """What came between two of its looks."""
        return Between(first, last, self._bounds)
