"""The worker's snapshots: when they are due, who makes them, what a failure does. Turns are driven by hand."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from muse_stream.state.errors import SnapshotLocationError
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.worker import snapshots as module
from muse_stream.streams.worker.snapshot_status import PartitionSnapshots, Schedule
from muse_stream.streams.worker.snapshots import LOOK_SECONDS, RETRY_SECONDS, Snapshots
from tests.state.logs import hashed_log

HOUR = 3600.0


class World:
    """Two stores, a location, a clock, and a worker that owns what the test says."""

    def __init__(self, directory: Path) -> None:
        self.now = 1_000.0
        self.owned: Mapping[int, bool] = {0: True, 1: True}
        self.directory = directory / "state"
        self.stores = {
            number: BehaviourStore.open(
                self.directory / f"behaviours-{number}", StoreIdentity("c", "behaviours", number, 2), Rules()
            )
            for number in (0, 1)
        }
        for number in (0, 1):
            self.read_to(number, 100)
        self.url = f"file://{directory}/there"
        self.worker = self.another()

    def another(self) -> Snapshots:
        schedule = Schedule(self.url, "behaviours", self.directory, HOUR, keep=2, tool="1")
        return Snapshots(schedule, self.lease, lambda: self.owned, lambda: self.now)

    @contextmanager
    def lease(self, partition: int) -> Iterator[BehaviourStore]:
        if partition not in self.stores:
            raise PartitionNotHereError(partition, list(self.stores))
        yield self.stores[partition]

    def read_to(self, partition: int, end: int) -> None:
        store = self.stores[partition]
        store.append(hashed_log(store.position, end), position=end)

    def turns(self, worker: Snapshots | None = None) -> int:
        """Turn until there is nothing to do; how many snapshots were tried."""
        worker, tried = worker or self.worker, 0
        while worker._turn() == 0.0:
            tried += 1
        return tried

    def positions(self, partition: int) -> list[int]:
        found = SnapshotLocation(self.url, "behaviours", partition).snapshots()
        return [one.manifest.position for one in found if one.manifest]

    def shown(self, partition: int) -> PartitionSnapshots:
        return {one.partition: one for one in self.worker.shown()}[partition]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    for store in made.stores.values():
        store.close()


def test_every_partition_gets_one_and_the_next_when_the_interval_is_over(world: World) -> None:
    assert world.turns() == 2
    assert (world.positions(0), world.positions(1)) == ([100], [100])
    world.read_to(0, 200)
    world.now += HOUR - 1
    assert world.turns() == 0
    world.now += 1
    assert world.turns() == 2
    assert world.positions(0) == [200, 100]
    shown = world.shown(0)
    assert (shown.phase, shown.attempts, shown.position, shown.error) == ("idle", 2, 200, None)
    assert 0 < shown.sent < shown.total
    reading = world.worker.reading()
    assert (reading.written, reading.failures, dict(reading.positions)) == (4, 0, {0: 200, 1: 100})
    assert not list(world.directory.glob(".*"))


def test_only_owned_partitions_that_have_caught_up(world: World) -> None:
    world.owned = {0: True, 1: False}
    assert world.turns() == 1
    assert world.positions(1) == []
    world.owned = {1: True}
    assert world.turns() == 1
    assert [one.partition for one in world.worker.shown()] == [1]
    assert world.worker.request(0) is None


def test_the_next_owner_goes_on_with_what_the_last_one_made(world: World) -> None:
    world.turns()
    other = world.another()
    assert world.turns(other) == 0
    assert [one.position for one in other.shown()] == [100, 100]
    assert other.reading().age_seconds < HOUR


def test_one_that_is_asked_for_comes_at_once(world: World) -> None:
    world.turns()
    world.read_to(1, 300)
    before = world.worker.request(1)
    assert before is not None
    assert (before.phase, before.attempts) == ("waiting", 1)
    assert world.turns() == 1
    assert world.positions(1) == [300, 100]
    assert (world.shown(1).phase, world.shown(1).attempts) == ("idle", 2)


def test_a_failure_is_shown_counted_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        where = "there"
        raise SnapshotLocationError(where, "no room.", "make some.")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write", refuse)
        assert world.turns() == 2
    assert "no room" in str(world.shown(0).error)
    check = world.worker.check()
    assert check.ok
    assert "2 of 2 fail" in check.detail
    assert "no room" in check.detail
    assert not list(world.directory.glob(".*"))
    assert world.turns() == 0
    world.now += RETRY_SECONDS
    assert world.turns() == 2
    assert world.shown(0).error is None
    assert world.worker.reading().failures == 2
    assert world.worker.check().detail == "2 of 2 have one"


def test_a_store_that_has_just_left_is_a_failure_like_others(world: World) -> None:
    store = world.stores.pop(0)
    assert world.turns() == 1
    assert "not open on this worker" in str(world.shown(0).error)
    world.stores[0] = store
    world.now += RETRY_SECONDS
    assert world.turns() == 1


def test_the_age_counts_from_the_assignment_where_there_is_none(world: World) -> None:
    world.owned = {0: False}
    assert world.worker._turn() == LOOK_SECONDS
    assert 0 <= world.worker.reading().age_seconds < 600
    assert world.worker.reading().positions == {}


def test_a_store_that_has_read_nothing_waits(world: World) -> None:
    store = BehaviourStore.open(
        world.directory / "behaviours-7", StoreIdentity("c", "behaviours", 7, 8), Rules(), start_position=50
    )
    world.stores[7] = store
    world.owned = {7: True}
    assert world.turns() == 1
    assert world.positions(7) == []
    assert (world.shown(7).error, world.worker.reading().failures) == (None, 0)
    store.append(hashed_log(50, 60), position=60)
    world.now += RETRY_SECONDS
    assert world.turns() == 1
    assert world.positions(7) == [60]


def test_a_checkpoint_that_a_killed_worker_left_goes(world: World) -> None:
    left = world.directory / ".behaviours-0.snapshot"
    left.mkdir()
    (left / "000001.sst").write_bytes(b"x")
    world.worker.start()
    world.worker.call(lambda: None).result(30)
    assert not (left / "000001.sst").exists()
    world.worker.stop()


def test_a_stop_gives_up_the_running_one(world: World) -> None:
    world.worker._stop.set()
    assert world.turns() == 2
    assert world.positions(0) == []
    assert world.worker.reading().failures == 0
    assert not list(world.directory.glob(".*"))


def test_a_thread_that_has_ended_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Snapshots) -> float:
        message = "a fault of the program"
        raise RuntimeError(message)

    monkeypatch.setattr(Snapshots, "_turn", fail)
    world.worker.start()
    world.worker._thread.join(30)
    check = world.worker.check()
    assert check.ok
    assert "a fault of the program" in check.detail


def test_a_location_that_is_none_is_told_at_once(world: World) -> None:
    world.url = "nowhere://x"
    with pytest.raises(SnapshotLocationError):
        world.another()
