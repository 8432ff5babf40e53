"""ArrayHistogram: the same samples as prometheus_client's Histogram, whatever the batches."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.samples import Sample

from muse_stream.monitoring import buckets
from muse_stream.monitoring.catalogue import Definition
from muse_stream.monitoring.histogram import FOLD_ROWS, AgeHistogram, ArrayHistogram, HistogramFamily, quantile

BOUNDS = buckets.FRESHNESS_SECONDS
NAME = "muse_test_seconds"


def definition(*labels: str) -> Definition:
    return Definition(NAME, "histogram", "A test.", labels, BOUNDS)


def samples(registry: CollectorRegistry) -> list[Sample]:
    return [
        sample for family in registry.collect() for sample in family.samples if not sample.name.endswith("_created")
    ]


def theirs(values: np.ndarray) -> list[Sample]:
    registry = CollectorRegistry()
    histogram = Histogram(NAME, "A test.", buckets=BOUNDS, registry=registry)
    for one in values.tolist():
        histogram.observe(one)
    return samples(registry)


def same(ours: list[Sample], expected: list[Sample]) -> None:
    assert [(s.name, s.labels) for s in ours] == [(s.name, s.labels) for s in expected]
    for one, other in zip(ours, expected, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-9, abs=1e-9)


on_bounds = st.sampled_from(BOUNDS)
anywhere = st.floats(-10, 1e5, allow_nan=False)


@settings(deadline=None)
@given(arrays(np.float64, st.integers(0, 200), elements=st.one_of(on_bounds, anywhere)), st.integers(0, 200))
def test_equals_prometheus_client_in_any_two_batches(values: np.ndarray, cut: int) -> None:
    registry = CollectorRegistry()
    series = HistogramFamily(registry, definition()).only
    series.observe_many(values[:cut])
    for one in values[cut:].tolist():
        series.observe(one)
    same(samples(registry), theirs(values))


def test_a_value_on_a_bound_is_within_it() -> None:
    series = ArrayHistogram([0.5, 1.0])
    series.observe_many(np.array([0.5, 1.0, 1.5]))
    series.observe(0.5)
    assert series.snapshot()[0].tolist() == [2, 1, 1]


def test_float32_values_are_summed_in_float64() -> None:
    series = ArrayHistogram([1.0])
    series.observe_many(np.full(1_000_000, 0.1, np.float32))
    assert series.snapshot()[1] == pytest.approx(100_000, rel=1e-6)


def test_nan_is_left_out() -> None:
    series = ArrayHistogram([1.0])
    series.observe(math.nan)
    series.observe_many(np.array([math.nan, 2.0, 0.5]))
    counts, total = series.snapshot()
    assert counts.tolist() == [1, 1]
    assert total == 2.5


def test_every_series_exists_from_the_start() -> None:
    registry = CollectorRegistry()
    family = HistogramFamily(registry, definition("stage"), [("a",), ("b",)])
    family.series["b",].observe(0.3)
    assert registry.get_sample_value(f"{NAME}_count", {"stage": "a"}) == 0
    assert registry.get_sample_value(f"{NAME}_count", {"stage": "b"}) == 1


def test_a_snapshot_does_not_change_afterwards() -> None:
    series = ArrayHistogram([1.0])
    before, _ = series.snapshot()
    series.observe(0.5)
    assert before.tolist() == [0, 0]


def test_quantiles_lie_in_the_right_bucket() -> None:
    generator = np.random.default_rng(1)
    values = generator.exponential(2.0, 5000)
    series = ArrayHistogram(BOUNDS)
    series.observe_many(values)
    edges = (0.0, *BOUNDS)
    for share in (0.01, 0.5, 0.9, 0.99):
        estimate = quantile(BOUNDS, series.snapshot()[0], share)
        assert estimate is not None
        truth = float(np.quantile(values, share))
        place = int(np.searchsorted(edges, truth))
        assert edges[place - 1] <= estimate <= edges[place]


def test_quantiles_at_the_ends() -> None:
    assert quantile([1.0, 2.0], np.array([0, 0, 0]), 0.5) is None
    assert quantile([1.0, 2.0], np.array([0, 0, 5]), 0.5) == 2.0
    assert quantile([1.0, 2.0], np.array([0, 10, 0]), 0.5) == pytest.approx(1.5)
    assert quantile([1.0, 2.0], np.array([10, 0, 0]), 1.0) == 1.0


@given(arrays(np.int64, st.integers(0, 3_000), elements=st.integers(-500, 10_000_000)))
@settings(deadline=None, max_examples=30)
def test_ages_in_whole_milliseconds_count_as_their_seconds(ages_ms: np.ndarray) -> None:
    registry = CollectorRegistry()
    HistogramFamily(registry, definition(), kind=AgeHistogram).only.observe_many(ages_ms)
    same(samples(registry), theirs(np.maximum(ages_ms, 0) / 1000))


def test_arrays_wait_until_they_are_many_or_somebody_reads() -> None:
    series = ArrayHistogram([0.5])
    series.before_reading = lambda: series.observe_many(np.array([0.1]))
    series.observe_many(np.full(FOLD_ROWS - 1, 0.1))
    assert not series._counts.any()
    series.observe_many(np.array([0.9]))
    assert series._counts.tolist() == [FOLD_ROWS - 1, 1]
    series.observe_many(np.array([0.2], np.float32))
    assert series.snapshot()[0].tolist() == [FOLD_ROWS + 1, 1]
