"""Reads a worker's /metrics and /v1/status: what it has done, as the demo needs it.

Invariant: a figure is the difference of two readings, so that what happened before the first one does not count.
"""

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from muse_stream.streams.demo.http import get_json

FRESHNESS = "muse_freshness_broker_visible_seconds_bucket"
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One scrape.

    Attributes:
        records: Records of the behaviours topic that the stores have behind them; a restart does not change it.
        freshness: Upper bound in seconds -> behaviours that were retrievable within it (cumulative, since the start).

    """

    records: int = 0
    freshness: Mapping[float, float] = field(default_factory=dict)


def scrape(url: str, topic: str) -> Reading | None:
    """Read what a worker says of the behaviours `topic`; None while nobody answers."""
    status = get_json(f"{url}/v1/status", timeout_seconds=TIMEOUT_SECONDS)
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            text = response.read().decode()
    except (urllib.error.URLError, OSError):
        return None
    return Reading(records(status.body, topic), freshness(text)) if status.status == 200 else None


def records(status: Mapping[str, Any], topic: str) -> int:
    """Records before the positions of a topic that a status document names, where the log has no transactions."""
    logs = [partition["logs"].get(topic) for partition in status["partitions"]]
    return sum(log["position"] for log in logs if log)


def freshness(text: str) -> dict[float, float]:
    """The histogram of a Prometheus exposition."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {float(sample.labels["le"]): sample.value for sample in samples if sample.name == FRESHNESS}


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
