"""A worker's metrics page, read twice: what happened in between.

Invariant: every figure is a difference of the two readings. Quantiles are interpolated inside the histogram's bucket,
so they are no finer than the buckets: below the first bound (10 ms for freshness) they only say "less than that".
"""

import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from muse_stream.monitoring.histogram import quantile

TIMEOUT_SECONDS = 30.0  # a worker that is overloaded answers late
CPU = "process_cpu_seconds_total"
ROWS = "muse_ingest_rows_applied_total"
MISSES = "muse_engine_pool_misses_total"
FRESHNESS = "muse_freshness_broker_visible_seconds"
REQUEST = "muse_request_duration_seconds"
STAGE = "muse_request_stage_duration_seconds"

Series = tuple[str, str]
"""Metric and, where it has one, its label `stage` or `topic`; summed over other labels."""


@dataclass(frozen=True, slots=True)
class Page:
    """One reading.

    Attributes:
        read_seconds: When, on the clock of `time.perf_counter`.
        values: Counters and gauges.
        buckets: Histograms: upper bound in seconds -> observations up to it (cumulative).

    """

    read_seconds: float
    values: Mapping[Series, float] = field(default_factory=dict)
    buckets: Mapping[Series, Mapping[float, float]] = field(default_factory=dict)


def read(url: str) -> Page:
    """Read a worker's metrics. Raises `OSError`: nobody answers."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - our own worker
        return parse(response.read().decode(), time.perf_counter())


def parse(text: str, read_seconds: float) -> Page:
    """The values and histograms in a Prometheus exposition."""
    values: dict[Series, float] = {}
    buckets: dict[Series, dict[float, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = sample.labels.get("stage") or sample.labels.get("topic") or ""
            if "le" in sample.labels:
                series = buckets.setdefault((family.name, label), {})
                bound = float(sample.labels["le"])
                series[bound] = series.get(bound, 0.0) + sample.value
            else:
                values[sample.name, label] = values.get((sample.name, label), 0.0) + sample.value
    return Page(read_seconds, values, buckets)


@dataclass(frozen=True, slots=True)
class Between:
    """What happened between two readings."""

    before: Page
    after: Page

    @property
    def seconds(self) -> float:
        """Time between them."""
        return self.after.read_seconds - self.before.read_seconds

    def grown(self, metric: str, label: str = "") -> float:
        """By how much a counter grew; 0 where there is none."""
        return self.after.values.get((metric, label), 0.0) - self.before.values.get((metric, label), 0.0)

    def quantile_ms(self, metric: str, share: float, label: str = "") -> float | None:
        """A quantile of a histogram in seconds, as milliseconds; None where nothing was observed."""
        after = self.after.buckets.get((metric, label), {})
        before = self.before.buckets.get((metric, label), {})
        bounds = sorted(after)
        cumulative = np.array([after[bound] - before.get(bound, 0.0) for bound in bounds])
        if not bounds:
            return None
        counts = np.diff(cumulative, prepend=0.0).astype(np.int64)
        seconds = quantile(bounds[:-1], counts, share)
        return None if seconds is None else seconds * 1e3
