"""The rules that every metric keeps, and that the page names exactly what a worker exports."""

import re
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from muse_stream.monitoring import IngestReading, LagReading, buckets, reference
from muse_stream.monitoring.catalogue import CATALOGUE, LABELS, VERIFICATION, Definition
from muse_stream.monitoring.metrics import Metrics

from .worker import OUTCOMES, REASONS, Batch, full_metrics

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"^muse_[a-z]+(_[a-z]+)+$")
UNITS = ("_seconds", "_bytes", "_ratio", "_info")
COUNTED = (
    *("_records", "_behaviours", "_candidates", "_history_length", "_batch_size", "_queue_depth", "_in_flight"),
    *("_users", "_rows", "_items", "_ids", "_copies", "_messages", "_offset", "_high_watermark"),
    *("_partitions_assigned", "_partitions_ready", "_partitions_failed", "_partitions_open", "_stuck_partitions"),
    *("_ok", "_ready", "_answers", "_partitions_waiting", "_write_delayed", "_refused"),
)
"""What a gauge or histogram without a unit counts."""


def each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("definition", [*CATALOGUE, *VERIFICATION], ids=lambda definition: definition.name)


@each()
def test_names_follow_the_rules(definition: Definition) -> None:
    assert NAME.match(definition.name)
    assert (definition.kind == "counter") == definition.name.endswith("_total")
    assert not definition.name.endswith(("_bucket", "_count", "_sum", "_created", "_ms", "_percent"))
    if definition.kind != "counter":
        assert definition.name.endswith((*UNITS, *COUNTED)), "no unit and not a known count"


@each()
def test_help_is_a_sentence(definition: Definition) -> None:
    assert definition.help.endswith(".")
    assert len(definition.help) > 15
    assert "|" not in definition.help


@each()
def test_labels_are_from_the_closed_list(definition: Definition) -> None:
    assert set(definition.labels) <= LABELS
    if "partition" in definition.labels:
        assert re.search("offset|watermark|lag|held_back|canary_unseen", definition.name)
    if {"version", "digest"} & set(definition.labels):
        assert definition.name.endswith("_info")


@each()
def test_buckets_rise_and_belong_to_histograms(definition: Definition) -> None:
    assert (definition.kind == "histogram") == bool(definition.buckets)
    assert list(definition.buckets) == sorted(set(definition.buckets))
    assert len(definition.buckets) <= 25


def test_names_are_distinct() -> None:
    names = [definition.name for definition in (*CATALOGUE, *VERIFICATION)]
    assert len(names) == len(set(names))


def test_service_levels_are_bounds() -> None:
    assert 0.025 in buckets.REQUEST_SECONDS
    assert {1.0, 2.0} <= set(buckets.FRESHNESS_SECONDS)
    assert max(buckets.COUNTS) == 100_000


def exported(metrics: Metrics) -> dict[str, str]:
    families = text_string_to_metric_families(metrics.exposition()[0].decode())
    own = {family.name: family.type for family in families if family.name.startswith("muse_")}
    return {name + ("_total" if kind == "counter" else ""): kind for name, kind in own.items()}


def test_a_worker_exports_exactly_the_catalogue() -> None:
    assert exported(full_metrics()) == {definition.name: definition.kind for definition in CATALOGUE}


def test_the_page_is_current() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert page == reference.page(), "run: python -m muse_stream.monitoring.reference > docs/metrics.md"


def test_every_metric_of_a_worker_is_on_the_page() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for name in exported(full_metrics()):
        assert f"| `{name}` |" in page


def loaded_worker() -> Metrics:
    """A worker with 64 partitions after a mixed load."""
    lags = [LagReading(topic, partition, 5, 9) for topic in ("behaviours", "users") for partition in range(64)]
    metrics = full_metrics(lambda: IngestReading(64, 64, 128, 0, lags))
    generator = np.random.default_rng(3)
    for topic in ("behaviours", "users", "items", "surprise"):
        for serving in (True, False):
            times = generator.integers(0, 10**7, 100)
            rejects = {**dict.fromkeys(REASONS, 1), "unheard of": 1}
            metrics.ingest.batch(Batch(topic, serving, 100, 90, 3, 1, rejects, 5, times, times, visible_at_ms=10**7))
    for outcome in (*OUTCOMES, "unheard of"):
        for at in range(20):
            metrics.requests.answered(outcome, at / 100, {**dict.fromkeys(metrics.requests.stages, 0.001), "nap": 1.0})
    return metrics


def test_a_loaded_worker_stays_below_two_thousand_series_and_64_values_per_label() -> None:
    series, values = 0, dict[tuple[str, str], set[str]]()
    for family in loaded_worker().registry.collect():
        series += len(family.samples)
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault((sample.name, label), set()).add(value)
    assert series < 2000
    assert max(map(len, values.values())) <= 64


def test_what_was_not_announced_counts_as_other() -> None:
    registry = loaded_worker().registry
    assert registry.get_sample_value("muse_ingest_records_rejected_total", {"reason": "other"}) == 4
    assert registry.get_sample_value("muse_requests_total", {"outcome": "other"}) == 20
    consumed = {"topic": "other", "role": "serving"}
    assert registry.get_sample_value("muse_ingest_records_consumed_total", consumed) == 100


def test_every_closed_label_value_is_there_before_the_first_event() -> None:
    registry = full_metrics().registry
    for reason in (*REASONS, "other"):
        assert registry.get_sample_value("muse_ingest_records_rejected_total", {"reason": reason}) == 0
    for outcome in (*OUTCOMES, "other"):
        assert registry.get_sample_value("muse_requests_total", {"outcome": outcome}) == 0
