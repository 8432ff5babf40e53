"""Ingest and freshness: what a batch counts, what a standby does not, and series that leave with their partition."""

import numpy as np
import pytest

from muse_stream.monitoring import IngestReading, LagReading, Metrics, StopReading

from .worker import Batch, bare_metrics, value

NOW = 1_700_000_000_000


def batch(**changes: object) -> Batch:
    times = np.array([NOW - 3000, NOW - 40, NOW + 5], np.int64)
    values: dict[str, object] = {
        "records": 4,
        "applied": 3,
        "duplicates": 1,
        "erased": 2,
        "rejects": {"bad_json": 1},
        "dead_letters": 1,
        "event_time_ms": times - 500,
        "broker_time_ms": times,
        "visible_at_ms": NOW,
        "decode_seconds": 0.001,
        "store_seconds": 0.002,
        "engine_seconds": 0.003,
    }
    return Batch(**{**values, **changes})  # type: ignore[arg-type]


def test_a_batch_is_counted_by_topic_and_outcome() -> None:
    metrics = bare_metrics()
    metrics.ingest.batch(batch())
    metrics.ingest.batch(batch())
    mine = {"topic": "behaviours", "role": "serving"}
    assert value(metrics, "muse_ingest_records_consumed_total", **mine) == 8
    assert value(metrics, "muse_ingest_rows_applied_total", **mine) == 6
    assert value(metrics, "muse_ingest_records_rejected_total", reason="bad_json") == 2
    assert value(metrics, "muse_ingest_duplicates_dropped_total") == 2
    assert value(metrics, "muse_ingest_users_erased_total") == 4
    assert value(metrics, "muse_ingest_dead_letters_total") == 2
    assert value(metrics, "muse_ingest_batch_records_sum") == 8
    assert value(metrics, "muse_ingest_apply_duration_seconds_sum") == pytest.approx(0.012)
    assert value(metrics, "muse_ingest_stage_seconds_total", stage="store") == pytest.approx(0.004)
    assert metrics.ingest.rejected == 2


def test_ages_end_in_both_freshness_histograms_and_are_never_negative() -> None:
    metrics = bare_metrics()
    metrics.ingest.batch(batch())
    assert value(metrics, "muse_freshness_broker_visible_seconds_count") == 3
    assert value(metrics, "muse_freshness_broker_visible_seconds_sum") == pytest.approx(3.04)
    assert value(metrics, "muse_freshness_broker_visible_seconds_bucket", le="0.01") == 1
    assert value(metrics, "muse_freshness_event_visible_seconds_sum") == pytest.approx(3.5 + 0.54 + 0.495)


def test_a_replay_says_nothing_about_freshness() -> None:
    metrics = bare_metrics()
    metrics.ingest.batch(batch(live=False))
    assert value(metrics, "muse_freshness_broker_visible_seconds_count") == 0
    assert value(metrics, "muse_ingest_duplicates_dropped_total") == 1


def test_a_standby_counts_apart_and_nothing_twice() -> None:
    metrics = bare_metrics()
    metrics.ingest.batch(batch(serving=False))
    assert value(metrics, "muse_ingest_records_consumed_total", topic="behaviours", role="standby") == 4
    assert value(metrics, "muse_ingest_records_consumed_total", topic="behaviours", role="serving") == 0
    for name in ("freshness_broker_visible_seconds_count", "ingest_duplicates_dropped_total"):
        assert value(metrics, f"muse_{name}") == 0
    assert value(metrics, "muse_ingest_records_rejected_total", reason="bad_json") == 0


def test_topic_names_are_translated_to_what_they_are_for() -> None:
    metrics = Metrics(reasons=[], outcomes=[], version="1", topics={"eu-users": "users"})
    metrics.ingest.batch(batch(topic="eu-users"))
    assert value(metrics, "muse_ingest_records_consumed_total", topic="users", role="serving") == 4


def test_metrics_that_are_off_count_nothing_and_still_answer() -> None:
    metrics = Metrics(reasons=["bad_json"], outcomes=["ok"], version="1", enabled=False)
    metrics.ingest.batch(batch())
    metrics.requests.answered("ok", 0.1)
    page, _ = metrics.exposition()
    assert b'muse_ingest_records_consumed_total{role="serving",topic="behaviours"} 0.0' in page


class Consumer:
    """Where a consumer stands, as the composition root would tell."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.lags = [LagReading("behaviours", 0, 10, 10), LagReading("behaviours", 1, 4, 9, NOW - 2000)]

    def read(self) -> IngestReading:
        return IngestReading(serving=len(self.lags), standby=1, ready=1, failed=0, lags=self.lags)


def test_lag_offsets_and_assignment_are_read_when_scraped() -> None:
    metrics, consumer = bare_metrics(), Consumer()
    metrics.watch_ingest(consumer.read, clock=lambda: consumer.now_ms / 1000)
    one = {"topic": "behaviours", "partition": "1"}
    assert value(metrics, "muse_ingest_lag_messages", **one) == 5
    assert value(metrics, "muse_ingest_lag_seconds", **one) == 2
    assert value(metrics, "muse_ingest_lag_seconds", topic="behaviours", partition="0") == 0
    assert value(metrics, "muse_ingest_consumer_offset", **one) == 4
    assert value(metrics, "muse_ingest_consumer_high_watermark", **one) == 9
    assert value(metrics, "muse_ingest_partitions_assigned", role="serving") == 2
    assert value(metrics, "muse_ingest_partitions_assigned", role="standby") == 1
    consumer.now_ms += 60_000
    assert value(metrics, "muse_ingest_lag_seconds", **one) == 62


def test_the_worst_partition_stands_out_while_all_others_are_busy_and_read() -> None:
    metrics, consumer = bare_metrics(), Consumer()
    metrics.watch_ingest(consumer.read, clock=lambda: consumer.now_ms / 1000)
    consumer.lags = [LagReading("behaviours", number, 10, 10) for number in range(20)]
    metrics.exposition()
    for second in range(1, 61):
        consumer.now_ms += 1_000
        read = [LagReading("behaviours", number, 10 + second, 10 + second) for number in range(19)]
        consumer.lags = [*read, LagReading("behaviours", 19, 10, 10 + second, NOW - 1)]
        metrics.exposition()
    found = [value(metrics, "muse_ingest_lag_seconds", topic="behaviours", partition=str(n)) for n in range(20)]
    assert found == [0.0] * 19 + [60.0]


def test_stopped_partitions_are_counted_by_reason() -> None:
    metrics, stops = bare_metrics(), [StopReading("position", "one"), StopReading("position", "two")]
    metrics.watch_ingest(lambda: IngestReading(3, 0, 1, 2, [], stops))
    assert value(metrics, "muse_ingest_partitions_failed", reason="position") == 2
    assert value(metrics, "muse_ingest_partitions_failed", reason="other_log") == 0


def test_what_a_transaction_holds_back_is_no_lag() -> None:
    metrics = bare_metrics()
    lags = [LagReading("behaviours", 0, 10, 10, held_back=7, held_since_ms=NOW - 95_000)]
    metrics.watch_ingest(lambda: IngestReading(1, 0, 1, 0, lags), clock=lambda: NOW / 1000)
    here = {"topic": "behaviours", "partition": "0"}
    assert value(metrics, "muse_ingest_held_back_records", **here) == 7
    assert value(metrics, "muse_ingest_held_back_seconds", **here) == 95
    assert value(metrics, "muse_ingest_lag_messages", **here) == 0


def test_a_revoked_partition_loses_its_series() -> None:
    metrics, consumer = bare_metrics(), Consumer()
    metrics.watch_ingest(consumer.read)
    assert b'partition="1"' in metrics.exposition()[0]
    consumer.lags = consumer.lags[:1]
    page, _ = metrics.exposition()
    assert b'partition="1"' not in page
    assert b'partition="0"' in page


def test_rebalances_are_counted() -> None:
    metrics = bare_metrics()
    metrics.ingest.rebalanced()
    assert value(metrics, "muse_ingest_rebalances_total") == 1


def test_commits_and_rebalances_have_their_times() -> None:
    metrics = bare_metrics()
    metrics.ingest.committed(0.002)
    metrics.ingest.settled(1.5)
    assert value(metrics, "muse_ingest_commit_duration_seconds_bucket", le="0.0025") == 1
    assert value(metrics, "muse_ingest_rebalance_duration_seconds_bucket", le="1.0") == 0
    assert value(metrics, "muse_ingest_rebalance_duration_seconds_bucket", le="2.0") == 1


def test_replay_acknowledgements_and_brokers_are_read_when_scraped() -> None:
    metrics = bare_metrics()
    reading = IngestReading(2, 0, 1, 0, [], waiting=1, replayed=0.25, broker_ok=False)
    metrics.watch_ingest(lambda: reading)
    assert value(metrics, "muse_ingest_replay_progress_ratio") == 0.25
    assert value(metrics, "muse_ingest_partitions_waiting") == 1
    assert value(metrics, "muse_ingest_broker_ok") == 0
