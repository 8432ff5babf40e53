"""Cases of the alerts about stores, disks, snapshots, memory and GPUs."""

from collections.abc import Mapping, Sequence

from tests.deploy.timeline import Case, Course, Falling, Level, Rate, everywhere, on, steady, still

GIB = 2.0**30
_READY = {
    **everywhere("muse_ingest_partitions_assigned", still(2), role="serving"),
    **everywhere("muse_ingest_partitions_ready", still(2)),
}


def _one(name: str, course: Course, **labels: str) -> dict[str, Course]:
    """On `w1` as told; on the others a counter or gauge that stays at 0."""
    quiet: Course = steady(0) if isinstance(course, Rate) else still(0)
    return {**everywhere(name, quiet, **labels), on("w1", name, **labels): course}


def _disk(free: Course) -> dict[str, Course]:
    """Of 100 GiB."""
    return {
        **everywhere("muse_store_disk_size_bytes", still(100 * GIB)),
        **everywhere("muse_store_disk_free_bytes", still(60 * GIB)),
        on("w1", "muse_store_disk_free_bytes"): free,
    }


def _pool(misses: Course, evictions: Course) -> dict[str, Course]:
    return {
        **everywhere("muse_engine_pool_hits_total", steady(10)),
        **_one("muse_engine_pool_misses_total", misses),
        **_one("muse_engine_pool_evictions_total", evictions),
    }


def _gpu(memory: Course, left: Course) -> dict[str, Course]:
    return {
        **everywhere("muse_gpu_pairs_answered_total", steady(50)),
        **_one("muse_gpu_pairs_elsewhere_total", memory, reason="memory"),
        **_one("muse_gpu_pairs_elsewhere_total", left, reason="left"),
    }


_STORE = {"stage": "store"}
_W1 = [{"instance": "w1", "severity": "ticket"}]

DISK: Mapping[str, Sequence[Case]] = {
    "MuseStoreSlow": (
        Case(
            "writes take most of the time",
            {**_READY, **_one("muse_ingest_stage_seconds_total", Rate(0.1, 0.8), **_STORE)},
            _W1,
        ),
        Case("a busy worker", {**_READY, **everywhere("muse_ingest_stage_seconds_total", Rate(0.1, 0.4), **_STORE)}),
        Case(
            "a worker that catches up as fast as it can",
            {
                **_READY,
                **_one("muse_ingest_stage_seconds_total", Rate(0.1, 0.8), **_STORE),
                on("w1", "muse_ingest_partitions_ready"): Level(2, 1),
            },
        ),
    ),
    "MuseStoreStalls": (
        Case("a slow disk", _one("muse_store_write_stall_seconds_total", Rate(0, 0.1)), _W1),
        Case("one hiccup", _one("muse_store_write_stall_seconds_total", Rate(0, 0.05)), minutes=(10, 0.5, 10)),
        Case(
            "a little on each of three workers",
            everywhere("muse_store_write_stall_seconds_total", Rate(0, 0.003)),
        ),
    ),
    "MuseStoreBehind": (
        Case("the database holds writes back", _one("muse_store_write_delayed", Level(0, 2)), _W1),
        Case("for 2 minutes", _one("muse_store_write_delayed", Level(0, 2)), minutes=(10, 2, 10)),
    ),
    "MuseStoreErrors": (
        Case("a flush failed", _one("muse_store_background_errors_total", Rate(0, 1 / 60)), _W1, (20, 5, 20)),
        Case("none failed", _one("muse_store_background_errors_total", steady(0))),
    ),
    "MuseDiskNearlyFull": (
        Case(
            "3 of 100 GiB are free on one worker",
            _disk(Level(60 * GIB, 3 * GIB)),
            [{"instance": "w1", "severity": "page"}],
        ),
        Case("10 of 100 GiB", _disk(Level(60 * GIB, 10 * GIB))),
    ),
    "MuseDiskFillsUp": (
        Case(
            "25 GiB are free, 8 GiB go every hour",
            _disk(Falling(25 * GIB, 8 * GIB)),
            _W1,
            (10, 100, 150),
        ),
        Case("a compaction takes 10 GiB for a while", _disk(Level(60 * GIB, 50 * GIB)), minutes=(30, 20, 30)),
        Case("it fills up slowly", _disk(Falling(25 * GIB, 1 * GIB)), minutes=(10, 100, 20)),
    ),
    "MuseSnapshotOld": (
        Case("no snapshot for 27 hours", _one("muse_snapshot_age_seconds", Level(3600, 27 * 3600)), _W1),
        Case("a daily one, an hour late", everywhere("muse_snapshot_age_seconds", Level(3600, 25 * 3600))),
    ),
    "MuseSnapshotsFail": (
        Case(
            "they fail one after the other", _one("muse_snapshot_failures_total", Rate(0, 1 / 300)), _W1, (10, 30, 70)
        ),
        Case("one fails on each worker", everywhere("muse_snapshot_failures_total", Rate(0, 1 / 60)), (), (10, 1, 70)),
    ),
    "MuseRestoreFails": (
        Case(
            "a location that does not answer",
            _one("muse_store_restores_total", Rate(0, 1 / 60), outcome="failed"),
            _W1,
            (10, 3, 40),
        ),
        Case(
            "one fails as the worker starts, before it is first scraped",
            {on("w1", "muse_store_restores_total", outcome="failed"): Level(None, 1)},
            _W1,
            (10, 5, 10),
        ),
        Case(
            "there is no snapshot that fits",
            _one("muse_store_restores_total", Rate(0, 1 / 60), outcome="none_fits"),
        ),
    ),
}

MEMORY: Mapping[str, Sequence[Case]] = {
    "MusePoolThrashes": (
        Case("most histories are read from disk", _pool(Rate(1, 30), Rate(0, 30)), _W1, (20, 60, 30)),
        Case("a cold start: misses, and nobody leaves", _pool(Rate(1, 30), steady(0)), (), (20, 60, 10)),
        Case("some come and go", _pool(Rate(1, 5), Rate(0, 5)), (), (20, 60, 10)),
    ),
    "MuseTableFull": (
        Case(
            "vectors find no room", _one("muse_engine_table_refused_total", Rate(0, 1), space="v1"), _W1, (10, 10, 75)
        ),
        Case("items find no slot", _one("muse_engine_index_refused_total", Rate(0, 1)), _W1, (10, 10, 75)),
        Case("none is refused", _one("muse_engine_table_refused_total", steady(0), space="v1")),
    ),
    "MuseGpuLost": (
        Case("one worker's GPU fails", _one("muse_gpu_lost_total", Level(0, 1)), _W1),
        Case("no worker has one", everywhere("muse_gpu_lost_total", still(0))),
    ),
    "MuseGpuMemoryShort": (
        Case("a fifth of the searches find no memory", _gpu(Rate(0, 12), steady(0)), _W1, (20, 40, 30)),
        Case(
            "users leave before the search, which is no lack of memory", _gpu(steady(0), Rate(0, 12)), (), (20, 40, 5)
        ),
        Case("one in a hundred", _gpu(Rate(0, 0.5), steady(0)), (), (20, 40, 5)),
    ),
}

CASES: Mapping[str, Sequence[Case]] = {**DISK, **MEMORY}
