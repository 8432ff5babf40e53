"""Three workers with two partitions each, as Prometheus sees them, and what happens to them as a whole.

Made-up series of everything that the rules read; `CALM` is a working day. A scenario changes what it says and leaves
the rest.
"""

from collections.abc import Mapping

from tests.deploy.timeline import WORKERS, Course, Level, Rate, everywhere, on, steady, still

GIB = 2.0**30
ZEROS = (
    *("muse_ingest_dead_letters_total", "muse_store_write_stall_seconds_total", "muse_store_background_errors_total"),
    *("muse_snapshot_failures_total", "muse_engine_index_refused_total", "muse_engine_pool_evictions_total"),
    *("muse_requests_stale_total", "muse_model_control_skipped_total", "muse_model_scores_nonfinite_total"),
    *("muse_retrieval_candidates_without_vector_total", "muse_ingest_rebalances_total"),
)
"""Counters that do not count while all is well."""
NOTHING = ("muse_ingest_partitions_waiting", "muse_store_write_delayed", "muse_gpu_lost_total")
"""Gauges that are 0 then."""


def _work(pace: float) -> dict[str, Course]:
    """What is done; `pace` 1 is 10 requests and 100 behaviours a second on each worker."""
    freshness = "muse_freshness_broker_visible_seconds"
    return {
        **everywhere("muse_requests_total", steady(10 * pace), outcome="ok"),
        **everywhere("muse_requests_total", steady(0), outcome="error"),
        **everywhere("muse_requests_shed_total", steady(0), reason="prefetch"),
        **everywhere("muse_request_duration_seconds_count", steady(10 * pace)),
        **everywhere("muse_request_duration_seconds_bucket", steady(9.98 * pace), le="0.1"),
        **everywhere(f"{freshness}_count", steady(100 * pace)),
        **everywhere(f"{freshness}_bucket", steady(99.9 * pace), le="1.0"),
        **everywhere(f"{freshness}_bucket", steady(0), le="0.002"),
        **everywhere("muse_ingest_records_consumed_total", steady(100 * pace), topic="behaviours", role="serving"),
        **everywhere("muse_ingest_records_rejected_total", steady(0), reason="bad_json"),
        **everywhere("muse_ingest_stage_seconds_total", steady(0.05 * pace), stage="store"),
        **everywhere("muse_engine_pool_hits_total", steady(10 * pace)),
        **everywhere("muse_engine_pool_misses_total", steady(pace)),
        **everywhere("muse_retrieval_candidates_total", steady(1000 * pace)),
        **everywhere("muse_model_score_ratio_count", steady(1000 * pace)),
        **everywhere("muse_model_score_ratio_sum", steady(137 * pace)),
        **everywhere("muse_request_saturation_ratio", still(0.3 * pace)),
    }


def _standing() -> dict[str, Course]:
    """What is the case."""
    return {
        **{series: still(0) for name in NOTHING for series in everywhere(name, still(0))},
        **{series: steady(0) for name in ZEROS for series in everywhere(name, steady(0))},
        **everywhere("up", still(1)),
        **everywhere("muse_build_info", still(1), version="1.0", commit="a"),
        **everywhere("muse_model_info", still(1), slot="live", version="1", digest="a"),
        **everywhere("muse_health_check_ok", still(1), check="partitions"),
        **everywhere("muse_ingest_broker_ok", still(1)),
        **everywhere("muse_ingest_partitions_assigned", still(2), role="serving"),
        **everywhere("muse_ingest_partitions_assigned", still(0), role="standby"),
        **everywhere("muse_ingest_partitions_ready", still(2)),
        **everywhere("muse_ingest_partitions_failed", still(0), reason="store"),
        **everywhere("muse_watchdog_stuck_partitions", still(0), reason="requests"),
        **everywhere("muse_store_disk_size_bytes", still(100 * GIB)),
        **everywhere("muse_store_disk_free_bytes", still(60 * GIB)),
        **everywhere("muse_snapshot_age_seconds", still(3600)),
        **everywhere("muse_model_refused", still(0), slot="live"),
        **everywhere("muse_log_lines_total", steady(0), level="error"),
        **everywhere("muse_canary_sent_total", steady(0.4)),
        **everywhere("muse_canary_freshness_seconds_count", steady(0.4)),
        **everywhere("muse_canary_freshness_seconds_bucket", steady(0.4), le="2.0"),
        **everywhere("muse_canary_missed_total", steady(0), reason="no_answer"),
    }


def _partitions(pace: float) -> dict[str, Course]:
    series: dict[str, Course] = {}
    for number, worker in enumerate(WORKERS):
        for partition in (str(2 * number), str(2 * number + 1)):
            labels = {"topic": "behaviours", "partition": partition}
            series[on(worker, "muse_ingest_consumer_offset", **labels)] = steady(50 * pace)
            series[on(worker, "muse_ingest_lag_messages", **labels)] = still(0)
            series[on(worker, "muse_ingest_lag_seconds", **labels)] = still(0)
            series[on(worker, "muse_ingest_held_back_seconds", **labels)] = still(0)
            series[on(worker, "muse_canary_unseen_seconds", partition=partition)] = still(4)
    return series


def world(pace: float = 1) -> dict[str, Course]:
    return {**_standing(), **_work(pace), **_partitions(pace)}


CALM: Mapping[str, Course] = world()


def changed(**courses: Course) -> dict[str, Course]:
    """The calm world, with every series of these names that is not always 0, on all workers, as told."""
    return {
        series: course if course == steady(0) else courses.get(series.split("{")[0], course)
        for series, course in CALM.items()
    }


def without(*workers: str) -> dict[str, Course]:
    """These workers are killed during the fault: nothing of them is seen; afterwards they count from 0."""
    gone = tuple(f'instance="{worker}"' for worker in workers)
    return {
        series: (Level(1, 0) if series.startswith("up{") else _absent(course)) if _of(series, gone) else course
        for series, course in CALM.items()
    }


def _of(series: str, marks: tuple[str, ...]) -> bool:
    return any(mark in series for mark in marks)


def _absent(course: Course) -> Course:
    return Rate(course.healthy, None) if isinstance(course, Rate) else Level(course.healthy, None)


def taken_over() -> dict[str, Course]:
    """`w3` is killed and `w1` takes its two partitions."""
    series = without("w3")
    for partition in ("4", "5"):
        offset = on("w1", "muse_ingest_consumer_offset", topic="behaviours", partition=partition)
        series[offset] = Level(None, 9)
        series[on("w1", "muse_canary_unseen_seconds", partition=partition)] = Level(None, 4)
    series[on("w1", "muse_ingest_partitions_assigned", role="serving")] = Level(2, 4)
    series[on("w1", "muse_ingest_partitions_ready")] = Level(2, 4)
    return series
