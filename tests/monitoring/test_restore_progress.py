"""How far restoring is: shares, records and the time that is left."""

from muse_stream.monitoring import Health, IngestReading, LagReading, RestoreProgress


class Bench:
    """Two partitions of a worker that replays."""

    def __init__(self) -> None:
        self.now = 50.0
        self.snapshots: dict[int, tuple[int, int]] = {}
        self.stands(0, 1000)
        self.progress = RestoreProgress(lambda: self.reading, lambda: self.snapshots, lambda: self.now)

    def stands(self, *positions: int, end: int = 1000, share: float = 0.0) -> None:
        lags = [
            LagReading("behaviours", number, position, end, ready=position == end)
            for number, position in enumerate(positions)
        ]
        self.reading = IngestReading(2, 0, sum(lag.ready for lag in lags), 0, lags, replayed=share)


def test_the_time_left_follows_from_the_pace() -> None:
    bench = Bench()
    assert bench.progress.look() == {
        "partitions": 2,
        "ready": 1,
        "share": 0.0,
        "records_left": 1000,
        "seconds_left": None,
        "snapshots": [],
    }
    bench.now += 10
    bench.stands(250, 1000, share=0.25)
    found = bench.progress.look()
    assert (found["share"], found["records_left"], found["seconds_left"]) == (0.25, 750, 30.0)
    bench.stands(1000, 1000, share=1.0)
    found = bench.progress.look()
    assert (found["ready"], found["records_left"], found["seconds_left"]) == (2, 0, 0.0)


def test_a_partition_that_is_opened_later_begins_the_measurement_anew() -> None:
    bench = Bench()
    bench.progress.look()
    bench.now += 10
    bench.stands(500, 0)
    assert bench.progress.look()["seconds_left"] is None
    bench.now += 10
    bench.stands(600, 400)
    assert bench.progress.look()["seconds_left"] == 20.0


def test_snapshots_on_their_way_are_shown() -> None:
    bench = Bench()
    bench.snapshots = {4: (10, 20), 1: (5, 50)}
    assert bench.progress.look()["snapshots"] == [
        {"partition": 1, "done_bytes": 5, "total_bytes": 50},
        {"partition": 4, "done_bytes": 10, "total_bytes": 20},
    ]


def test_the_start_up_s_answer_has_it() -> None:
    health, bench = Health(), Bench()
    health.tell_progress(bench.progress.look)
    assert health.startup().body["restore"]["records_left"] == 1000
    assert "restore" not in health.ready().body
