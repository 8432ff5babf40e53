"""A Prometheus histogram that takes whole arrays: one call per batch instead of one per event.

Invariant: after the same values, its samples equal those of `prometheus_client.Histogram`; a value on a bound counts
into that bound's bucket. NaN is left out (it would make the sum NaN for ever). Arrays are counted together once they
are many, or somebody reads.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from muse_stream.monitoring.catalogue import Definition

FOLD_ROWS = 8_192
"""Arrays wait until there are so many values: folding costs as much for ten values as for a thousand."""
ROWS_PER_BOUND = 256
"""A comparison of so many values with one bound takes as long as the search for their buckets, about 2 us."""

Values = NDArray[np.floating | np.integer]


class ArrayHistogram:
    """Counts of one series.

    Args:
        bounds: Upper bounds, rising; +Inf is implied.

    Attributes:
        before_reading: Called before a `snapshot`: brings what waits elsewhere.

    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._edges: Values = np.array(bounds, np.float64)
        self._counts = np.zeros(len(self.bounds) + 1, np.int64)
        self._sum = 0.0
        self.before_reading: Callable[[], None] = lambda: None
        self._waiting: list[Values] = []
        self._rows_waiting = 0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Count one value."""
        if value != value:  # noqa: PLR0124 -- NaN, without a call
            return
        place = bisect_left(self.bounds, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def observe_many(self, values: Values) -> None:
        """Count `[n]` values; any dtype, any order. The array is kept for a while: do not write to it any more."""
        with self._lock:
            self._waiting.append(values)
            self._rows_waiting += len(values)
            if self._rows_waiting >= FOLD_ROWS or len(self._waiting) >= FOLD_ROWS:
                self._fold()

    def _fold(self) -> None:
        """Count what waits; inside the lock."""
        if not self._waiting:
            return
        waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        values, total = self._prepared(np.concatenate(waiting) if len(waiting) > 1 else waiting[0])
        if len(values):
            self._counts += self._bucketed(values)
            self._sum += total

    def _prepared(self, values: Values) -> tuple[Values, float]:
        """Values to compare with the edges, and their sum."""
        values = values.astype(np.float64, copy=False)
        total = float(values.sum())
        if total != total:  # noqa: PLR0124
            values = values[~np.isnan(values)]
            total = float(values.sum())
        return values, total

    def _bucketed(self, values: Values) -> NDArray[np.int64]:
        """Counts per bucket of `[n]` values, n > 0: one pass per bound that lies among them, or a search for each."""
        first, last = np.searchsorted(self._edges, [values.min(), values.max()]).tolist()
        if (last - first) * ROWS_PER_BOUND > len(values):
            return np.bincount(np.searchsorted(self._edges, values), minlength=len(self._counts))
        upto = [int(np.count_nonzero(values <= edge)) for edge in self._edges[first:last]]
        counts = np.zeros(len(self._counts), np.int64)
        counts[first : last + 1] = np.diff([0, *upto, len(values)])
        return counts

    def snapshot(self) -> tuple[NDArray[np.int64], float]:
        """Return a copy of the counts per bucket `[bounds + 1] int64` (not cumulative) and the sum of values."""
        self.before_reading()
        with self._lock:
            self._fold()
            return self._counts.copy(), self._sum


class AgeHistogram(ArrayHistogram):
    """Arrays are whole milliseconds, and so are the bounds; one below zero, by a clock that runs ahead, counts as 0."""

    def __init__(self, bounds: Sequence[float]) -> None:
        super().__init__(bounds)
        self._edges = np.rint(np.array(bounds) * 1e3).astype(np.int64)

    def _prepared(self, values: Values) -> tuple[Values, float]:
        if len(values) and values.min() < 0:
            values = np.maximum(values, 0)
        return values, float(values.sum()) * 1e-3


def quantile(bounds: Sequence[float], counts: NDArray[np.int64], share: float) -> float | None:
    """Estimate a quantile from bucket counts `[bounds + 1]`; beyond the last bound it is the last bound."""
    total = int(counts.sum())
    if not total:
        return None
    cumulative = np.cumsum(counts)
    rank = share * total
    place = int(np.searchsorted(cumulative, rank))
    if place >= len(bounds):
        return float(bounds[-1])
    below = float(cumulative[place - 1]) if place else 0.0
    start = bounds[place - 1] if place else min(0.0, bounds[0])
    return float(start + (bounds[place] - start) * (rank - below) / max(float(counts[place]), 1.0))


class HistogramFamily(Collector):
    """The series of one histogram metric, one per combination of label values, all made at the start.

    Args:
        registry: Where it is exported.
        definition: Name, help, label names, bounds.
        values: Label values of each series; one series without labels by default.
        kind: Of the series.

    """

    def __init__(
        self,
        registry: CollectorRegistry,
        definition: Definition,
        values: Iterable[tuple[str, ...]] = ((),),
        kind: type[ArrayHistogram] = ArrayHistogram,
    ) -> None:
        self.definition = definition
        self.series: Mapping[tuple[str, ...], ArrayHistogram] = {value: kind(definition.buckets) for value in values}
        bounds = (*definition.buckets, float("inf"))
        self._names = [str(floatToGoString(bound)) for bound in bounds]  # type: ignore[no-untyped-call]
        registry.register(self)

    @property
    def only(self) -> ArrayHistogram:
        """The series of a metric without labels."""
        return self.series[()]

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Name the family without reading it."""
        yield self._family()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return the family with its samples as of now."""
        family = self._family()
        for labels, series in self.series.items():
            counts, total = series.snapshot()
            cumulative = np.cumsum(counts).tolist()
            family.add_metric(labels, list(zip(self._names, map(float, cumulative), strict=True)), total)
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.definition.name, self.definition.help, labels=self.definition.labels)
