"""Cases of the alerts about workers themselves."""

from collections.abc import Mapping, Sequence

from tests.deploy.timeline import WORKERS, Case, Course, Level, Rate, everywhere, on, steady, still


def _owned(gone: str, fault: Level, others: Level) -> dict[str, Course]:
    """Two partitions each; those of one worker as told, its count of them too; the others' count as told."""
    series: dict[str, Course] = {}
    for number, worker in enumerate(WORKERS):
        for partition in (2 * number, 2 * number + 1):
            course = Level(7, None) if worker == gone and fault.fault is None else still(7)
            series[on(worker, "muse_ingest_consumer_offset", topic="behaviours", partition=str(partition))] = course
        series[on(worker, "muse_ingest_partitions_assigned", role="serving")] = fault if worker == gone else others
    return series


def _taken_over() -> dict[str, Course]:
    """`w3` goes, `w1` takes both of its partitions."""
    offset = "muse_ingest_consumer_offset"
    moved = {on("w1", offset, topic="behaviours", partition=str(number)): Level(None, 7) for number in (4, 5)}
    count = {on("w1", "muse_ingest_partitions_assigned", role="serving"): Level(2, 4)}
    return {**_owned("w3", Level(2, None), still(2)), **moved, **count}


def _seen_twice() -> dict[str, Course]:
    """A hand-over is scraped so that both workers show partition 5; afterwards one does."""
    twice = {on("w1", "muse_ingest_consumer_offset", topic="behaviours", partition="5"): Level(7, None)}
    return {**_owned("", still(2), still(2)), **twice}


_HIDDEN = {on("w3", "muse_ingest_consumer_offset", topic="behaviours", partition="5"): Level(7, None)}


def _ages(worker: str, below: Course, all_of_them: Course) -> dict[str, Course]:
    """Behaviours that seem to be retrievable within 2 ms."""
    return {
        on(worker, "muse_freshness_broker_visible_seconds_bucket", le="0.002"): below,
        on(worker, "muse_freshness_broker_visible_seconds_count"): all_of_them,
    }


CASES: Mapping[str, Sequence[Case]] = {
    "MuseNoWorker": (
        Case("all three are down", everywhere("up", Level(1, 0)), [{"severity": "page"}]),
        Case("nothing is scraped at all any more", everywhere("up", Level(1, None)), [{"severity": "page"}]),
        Case("two of three are down", {on("w1", "up"): still(1), on("w2", "up"): Level(1, 0)}),
        Case("all restart within a minute", everywhere("up", Level(1, 0)), minutes=(5, 1, 5)),
    ),
    "MuseWorkerDown": (
        Case(
            "one of three is down",
            {**everywhere("up", still(1)), on("w2", "up"): Level(1, 0)},
            [{"instance": "w2", "severity": "ticket"}],
        ),
        Case("one restarts within two minutes", {on("w1", "up"): Level(1, 0)}, minutes=(5, 2, 5)),
        Case("one was taken out of service and is not scraped any more", {on("w1", "up"): Level(1, None)}),
    ),
    "MusePartitionsWithoutOwner": (
        Case(
            "the partitions of a worker are nobody's",
            _owned("w3", Level(2, None), still(2)),
            [{"job": "muse-stream", "severity": "page"}],
        ),
        Case("another worker takes them over", _taken_over()),
        Case("a hand-over of 2 minutes", _owned("w3", Level(2, None), still(2)), minutes=(20, 2, 20)),
        Case("a partition that two workers showed for a moment", _seen_twice()),
        Case("series are missing, and the workers' own count is whole", {**_owned("", still(2), still(2)), **_HIDDEN}),
    ),
    "MuseHealthCheckFails": (
        Case(
            "one check of one worker fails",
            {
                **everywhere("muse_health_check_ok", still(1), check="items"),
                on("w1", "muse_health_check_ok", check="items"): Level(1, 0),
            },
            [{"instance": "w1", "check": "items", "severity": "ticket"}],
        ),
        Case(
            "a check fails for 10 minutes, as while it catches up",
            everywhere("muse_health_check_ok", Level(1, 0), check="partitions"),
            minutes=(5, 10, 5),
        ),
    ),
    "MuseStuck": (
        Case(
            "requests of one worker wait and none is taken",
            {
                **everywhere("muse_watchdog_stuck_partitions", still(0), reason="requests"),
                on("w2", "muse_watchdog_stuck_partitions", reason="requests"): Level(0, 3),
            },
            [{"instance": "w2", "reason": "requests", "severity": "page"}],
        ),
        Case("nothing is stuck", everywhere("muse_watchdog_stuck_partitions", still(0), reason="ingest")),
    ),
    "MuseVersionsDiffer": (
        Case(
            "a deployment stopped half way",
            {
                on("w1", "muse_build_info", version="1.0", commit="a"): still(1),
                on("w2", "muse_build_info", version="1.0", commit="a"): Level(1, None),
                on("w2", "muse_build_info", version="1.1", commit="b"): Level(None, 1),
            },
            [{"job": "muse-stream"}],
            minutes=(10, 130, 10),
        ),
        Case(
            "a deployment of an hour",
            {
                on("w1", "muse_build_info", version="1.0", commit="a"): still(1),
                on("w2", "muse_build_info", version="1.1", commit="b"): Level(None, 1),
            },
            minutes=(10, 60, 10),
        ),
    ),
    "MuseLogErrors": (
        Case(
            "one worker logs an error a minute",
            everywhere("muse_log_lines_total", steady(0), level="error")
            | {on("w1", "muse_log_lines_total", level="error"): Rate(0, 1 / 60)},
            [{"instance": "w1", "severity": "ticket"}],
        ),
        Case("many warnings are no errors", everywhere("muse_log_lines_total", Rate(0, 5), level="warning")),
        Case(
            "a single error",
            {on("w1", "muse_log_lines_total", level="error"): Rate(0, 1 / 60)},
            minutes=(20, 1, 20),
        ),
    ),
    "MuseScrapeErrors": (
        Case(
            "a reading fails at every scrape",
            everywhere("muse_monitoring_scrape_errors_total", steady(0), reader="stores")
            | {on("w3", "muse_monitoring_scrape_errors_total", reader="stores"): Rate(0, 1 / 15)},
            [{"instance": "w3", "reader": "stores"}],
        ),
        Case(
            "it failed once",
            {on("w3", "muse_monitoring_scrape_errors_total", reader="stores"): Rate(0, 1 / 60)},
            minutes=(20, 1, 5),
        ),
    ),
    "MuseClockBehind": (
        Case(
            "a worker sees behaviours before they were sent",
            {
                **_ages("w1", Rate(0, 90), steady(100)),
                **_ages("w2", steady(0), steady(100)),
            },
            [{"instance": "w1"}],
            minutes=(20, 40, 40),
        ),
        Case("a few behaviours in an hour", _ages("w1", steady(0.01), steady(0.01)), minutes=(20, 40, 20)),
    ),
}
