"""Stores, engines and models: read when scraped, added up; a reader that fails costs only its own metrics."""

import logging

import numpy as np
import pytest

from muse_stream.gsu_engine.stats import Elsewhere
from muse_stream.monitoring import DiskReading, IngestReading, Metrics, ModelReading, StoreReading
from muse_stream.monitoring.catalogue import ELSEWHERE, RESTORE_OUTCOMES
from muse_stream.streams.worker.restoring import Outcome

from .worker import Condition, Device, Engine, Items, Store, Table, bare_metrics, full_metrics, value


def test_stores_are_added_up() -> None:
    metrics = bare_metrics()
    stores = {0: Store(behaviours=5, disk_bytes=100, window=3), 4: Store(behaviours=6, disk_bytes=20, memtable_bytes=7)}
    metrics.watch_stores(lambda: StoreReading(stores, Items(position=77, disk_bytes=9)))
    assert value(metrics, "muse_store_partitions_open") == 2
    assert value(metrics, "muse_store_behaviours_appended_total") == 11
    assert value(metrics, "muse_store_bytes", kind="behaviours") == 120
    assert value(metrics, "muse_store_bytes", kind="memtable") == 7
    assert value(metrics, "muse_store_bytes", kind="items") == 9
    assert value(metrics, "muse_store_duplicate_window_ids") == 3
    assert value(metrics, "muse_items_offset") == 77


def test_store_counters_never_fall_when_partitions_come_and_go() -> None:
    metrics = bare_metrics()
    stores = {0: Store(behaviours=5), 1: Store(behaviours=7)}
    metrics.watch_stores(lambda: StoreReading(dict(stores)))

    def appended() -> float | None:
        return value(metrics, "muse_store_behaviours_appended_total")

    assert appended() == 12
    stores.pop(1)
    assert appended() == 12
    stores[1] = Store(behaviours=2)
    assert appended() == 14
    stores[0] = Store(behaviours=1)
    assert appended() == 15
    assert appended() == 15


def test_before_anything_is_open_everything_is_zero() -> None:
    metrics = bare_metrics()
    metrics.watch_stores(lambda: StoreReading({}))
    metrics.watch_engines(list)
    assert value(metrics, "muse_store_bytes", kind="items") == 0
    assert value(metrics, "muse_engine_pool_users") == 0


def test_engines_of_two_spaces_keep_their_tables_apart_and_share_the_index() -> None:
    metrics = bare_metrics()
    metrics.watch_engines(lambda: [Engine(), Engine(table=Table(space="text", rows=4), packed=None)])
    assert value(metrics, "muse_engine_info", backend="cpu") == 1
    assert value(metrics, "muse_engine_table_rows", space="v1") == 10
    assert value(metrics, "muse_engine_table_rows", space="text") == 4
    assert value(metrics, "muse_engine_index_items") == 12
    assert value(metrics, "muse_engine_pool_bytes") == 320
    assert value(metrics, "muse_engine_pool_hits_total") == 10
    assert value(metrics, "muse_engine_packed_bytes") == 900
    assert value(metrics, "muse_engine_packed_hits_total") == 3
    assert value(metrics, "muse_engine_standing_served_total") == 40
    assert value(metrics, "muse_engine_search_seconds_total") == 1.0


def test_a_gpu_is_counted_and_zero_where_there_is_none() -> None:
    metrics = bare_metrics()
    devices: list[Device | None] = [None]
    metrics.watch_engines(lambda: [Engine(device=device) for device in devices])
    assert value(metrics, "muse_gpu_lost_total") == 0
    assert value(metrics, "muse_gpu_pairs_elsewhere_total", reason="memory") == 0
    devices[:] = [Device(), Device(lost="Xid 79")]
    assert value(metrics, "muse_gpu_lost_total") == 1
    assert value(metrics, "muse_gpu_pairs_answered_total") == 18
    assert value(metrics, "muse_gpu_pairs_elsewhere_total", reason="no_room") == 4
    assert value(metrics, "muse_gpu_pool_users") == 6
    assert value(metrics, "muse_gpu_pool_evictions_total") == 8
    assert value(metrics, "muse_gpu_table_bytes") == 1_400
    assert value(metrics, "muse_gpu_wait_seconds_total") == 0.25


def test_the_reasons_are_those_of_the_engine() -> None:
    assert tuple(Elsewhere) == ELSEWHERE


def test_models_are_named() -> None:
    metrics = bare_metrics()
    metrics.watch_models(
        lambda: [ModelReading("2026-01", "ab12", 99.5), ModelReading("next", "cd", 1.0, slot="shadow")]
    )
    assert value(metrics, "muse_model_info", slot="live", version="2026-01", digest="ab12") == 1
    assert value(metrics, "muse_model_loaded_timestamp_seconds", slot="shadow") == 1.0


def test_a_reader_that_fails_costs_its_own_metrics_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    metrics = bare_metrics()

    def read() -> IngestReading:
        message = "store is closed"
        raise RuntimeError(message)

    metrics.watch_ingest(read)
    metrics.watch_engines(lambda: [Engine()])
    assert value(metrics, "muse_monitoring_scrape_errors_total", reader="ingest") == 0
    with caplog.at_level(logging.WARNING):
        page, _ = metrics.exposition()
    assert b"muse_engine_pool_users 3.0" in page
    assert b"\nmuse_ingest_partitions_ready " not in page
    assert "store is closed" in caplog.text
    errors = value(metrics, "muse_monitoring_scrape_errors_total", reader="ingest")
    assert errors is not None
    assert errors >= 1


def test_the_page_speaks_both_formats() -> None:
    metrics = full_metrics()
    assert metrics.exposition()[1].startswith("text/plain; version=")
    page, content_type = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")


def test_nothing_is_stamped_with_a_creation_time() -> None:
    assert b"_created" not in full_metrics().exposition()[0]


def test_the_process_is_there_too() -> None:
    page, _ = full_metrics().exposition()
    for name in (b"process_resident_memory_bytes", b"python_gc_collections_total", b"python_info"):
        assert name in page


def test_two_workers_in_one_process_do_not_meet() -> None:
    one, other = full_metrics(), full_metrics()
    one.requests.answered("ok", 0.1)
    assert value(other, "muse_requests_total", outcome="ok") == 0


def test_the_oldest_snapshot_counts() -> None:
    metrics = full_metrics()
    assert value(metrics, "muse_snapshot_age_seconds") == 60.5
    assert value(metrics, "muse_snapshot_offset", partition="2") == 41
    assert value(metrics, "muse_snapshot_written_total") == 3
    assert value(metrics, "muse_snapshot_failures_total") == 1
    assert value(metrics, "muse_snapshot_sent_bytes_total") == 900
    assert value(metrics, "muse_snapshot_seconds_total") == 0.5


def test_an_engine_that_is_closed_takes_nothing_away_from_what_was_counted() -> None:
    metrics = bare_metrics()
    engines = [Engine(), Engine(table=Table("v2"), searches=100)]
    metrics.watch_engines(lambda: engines)
    assert value(metrics, "muse_engine_searches_total") == 107
    del engines[0]
    assert value(metrics, "muse_engine_searches_total") == 107
    engines.append(Engine(searches=1))
    assert value(metrics, "muse_engine_searches_total") == 108
    assert value(metrics, "muse_engine_pool_users") == 6
    assert value(metrics, "muse_engine_table_refused_total", space="v1") == 1


def test_what_became_of_models_and_of_shadowed_requests_is_counted() -> None:
    metrics = bare_metrics()
    assert value(metrics, "muse_model_reload_total", slot="live", outcome="refused") == 0
    metrics.reloads.ended("live", "refused", 0.3)
    metrics.shadow.compared(np.array([0.0, 0.25]), 0.5)
    metrics.shadow.left_out("dropped", 3)
    metrics.watch_coverage(lambda: {"v2": 0.42})
    assert value(metrics, "muse_model_reload_total", slot="live", outcome="refused") == 1
    assert value(metrics, "muse_model_reload_duration_seconds_sum") == 0.3
    assert value(metrics, "muse_shadow_score_difference_ratio_sum") == 0.25
    assert value(metrics, "muse_shadow_rank_difference_ratio_count") == 1
    assert value(metrics, "muse_shadow_requests_total", outcome="dropped") == 3
    assert value(metrics, "muse_model_space_coverage_ratio", space="v2") == 0.42


def test_how_the_databases_cope_is_added_up_and_the_disk_is_one() -> None:
    metrics = bare_metrics()
    stores = {
        0: Store(truncated=3, condition=Condition(1.5, 0.5, delayed=True, pending_compaction_bytes=10)),
        1: Store(truncated=4, condition=Condition(0.25, 0.0, background_errors=2)),
    }
    metrics.watch_stores(lambda: StoreReading(dict(stores), cache_bytes=77))
    metrics.watch_disk(lambda: DiskReading(free_bytes=40, size_bytes=100))
    assert value(metrics, "muse_store_truncated_behaviours_total") == 7
    assert value(metrics, "muse_store_write_seconds_total") == 1.75
    assert value(metrics, "muse_store_write_stall_seconds_total") == 0.5
    assert value(metrics, "muse_store_background_errors_total") == 2
    assert value(metrics, "muse_store_write_delayed") == 1
    assert value(metrics, "muse_store_pending_compaction_bytes") == 10
    assert value(metrics, "muse_store_block_cache_bytes") == 77
    assert value(metrics, "muse_store_disk_free_bytes") == 40
    assert value(metrics, "muse_store_disk_size_bytes") == 100
    stores[0] = Store(truncated=3, condition=Condition(0.5, 0.25))
    assert value(metrics, "muse_store_write_seconds_total") == 2.25, "opened anew, its time counts from zero"


def test_restores_count_by_how_they_ended() -> None:
    metrics = bare_metrics()
    metrics.restores.ended("restored", 12.0)
    assert value(metrics, "muse_store_restores_total", outcome="restored") == 1
    assert value(metrics, "muse_store_restores_total", outcome="failed") == 0
    assert value(metrics, "muse_store_restore_duration_seconds_sum") == 12.0
    assert tuple(Outcome) == RESTORE_OUTCOMES


def test_the_build_is_told_as_far_as_it_is_known() -> None:
    metrics = Metrics(reasons=[], outcomes=[], version="1", built={"commit": "abc", "torch": "2.9"})
    assert value(metrics, "muse_build_info", version="1", commit="abc", torch="2.9", cuda="") == 1
