"""Reads a worker's /metrics: counters and histograms as the demo needs them.

Invariant: a figure is the difference of two readings, so that what happened before the first one does not count.
"""

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

ROWS = "muse_ingest_rows_applied_total"
FRESHNESS = "muse_freshness_broker_visible_seconds_bucket"
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One scrape.

    Attributes:
        behaviours: Behaviours written by the owner since the worker's start.
        freshness: Upper bound in seconds -> behaviours that were retrievable within it (cumulative).

    """

    behaviours: int = 0
    freshness: Mapping[float, float] = field(default_factory=dict)


def scrape(url: str) -> Reading | None:
    """Read a worker's metrics; None while nobody answers."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return parse(response.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def parse(text: str) -> Reading:
    """The figures in a Prometheus exposition."""
    behaviours, freshness = 0.0, {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == ROWS and sample.labels["topic"] == "behaviours" and sample.labels["role"] == "serving":
                behaviours += sample.value
            elif sample.name == FRESHNESS:
                freshness[float(sample.labels["le"])] = sample.value
    return Reading(int(behaviours), freshness)


def freshness_ms(before: Reading, after: Reading, share: float) -> float | None:
    """Milliseconds within which `share` of the behaviours between two readings were retrievable.

    Interpolated within the histogram's bucket, as Prometheus does it; the last finite bound where it lies above that.
    """
    bounds = sorted(after.freshness)
    counts = [after.freshness[bound] - before.freshness.get(bound, 0.0) for bound in bounds]
    seconds = _interpolated(bounds, counts, share)
    return None if seconds is None else seconds * 1e3


def _interpolated(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    if not counts or counts[-1] <= 0:
        return None
    wanted, below, lower = share * counts[-1], 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= wanted:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (wanted - below) / max(count - below, 1e-12)
        below, lower = count, bound
    return lower
