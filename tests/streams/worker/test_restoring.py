"""Snapshots in place of stores: when a partition begins at one, what is put aside, and what waits for nothing."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest

from muse_stream.state.errors import SnapshotError
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import StoreIdentity
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshots import write
from muse_stream.streams.ingest.ports import LogBounds, Restores
from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.ingest.status import Phase
from muse_stream.streams.worker import restoring
from muse_stream.streams.worker.restoring import Restorer
from tests.streams.ingest.fakes import (
    BEHAVIOURS,
    COUNT,
    FakeAsks,
    FakeEngine,
    FakeLog,
    FakeReader,
    FakeSink,
    items_of,
    make_parts,
    users_of,
)

PATIENCE_SECONDS = 30.0
USER = users_of(1, 1)[0]


def until(condition: Callable[[], object]) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.002)


def identity(partition: int) -> StoreIdentity:
    return StoreIdentity("test-cluster", BEHAVIOURS, partition, COUNT)


class World:
    """A log, a location, and data directories in which services run one after the other."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.url = directory, f"file://{directory}/there"
        self.log = FakeLog()
        self.running: list[IngestService] = []

    def behave(self, offsets: range) -> None:
        """One behaviour for each of these offsets."""
        for offset in offsets:
            self.log.behaviour(USER, offset + 1)

    def service(self, name: str, restores: Restores | None) -> IngestService:
        parts = replace(make_parts(self.directory / name, FakeEngine()), restores=restores)
        service = IngestService(parts, lambda: FakeReader(self.log), FakeSink(), asks=FakeAsks(self.log))
        service.start()
        self.running.append(service)
        return service

    def restoring(self, name: str) -> IngestService:
        (self.directory / name).mkdir(exist_ok=True)
        return self.service(name, Restorer(self.url, self.directory / name, identity))

    def filled(self, name: str) -> Path:
        """A store with everything that the log has now, closed."""
        service = self.service(name, None)
        service.assign([1]).result(PATIENCE_SECONDS)
        until(lambda: service.states()[1].phase is Phase.READY)
        service.stop()
        return self.directory / name / "behaviours-1"

    def save(self, store: Path) -> str:
        checkpoint = self.directory / f"checkpoint-{uuid.uuid4().hex}"
        shutil.copytree(store, checkpoint)
        return write(checkpoint, SnapshotLocation(self.url, BEHAVIOURS, 1), "1")[0].name

    def ends(self, service: IngestService) -> Phase:
        """Where partition 1 comes to."""
        until(lambda: service.states()[1].phase in {Phase.READY, Phase.FAILED})
        return service.states()[1].phase

    def items(self, service: IngestService) -> list[int]:
        """Offsets of the behaviours that are stored."""
        with service.stores.lease(1) as store:
            return [item - 1 for item in items_of(store, USER)]  # type: ignore[arg-type]

    def files(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.directory / name).iterdir())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    for service in made.running:
        service.stop()


def test_a_new_machine_begins_at_the_furthest_snapshot_and_reads_on(world: World) -> None:
    world.behave(range(10))
    world.save(world.filled("one"))
    world.behave(range(10, 20))
    world.save(world.filled("one"))
    world.log.cut((BEHAVIOURS, 1), 15)
    world.behave(range(20, 25))
    service = world.restoring("two")
    service.assign([1]).result(PATIENCE_SECONDS)
    assert world.ends(service) is Phase.READY
    assert world.items(service) == list(range(25))
    assert world.files("two") == ["behaviours-1"]


def test_a_store_that_the_log_left_behind_is_replaced(world: World) -> None:
    world.behave(range(5))
    behind = world.filled("behind")
    world.behave(range(5, 20))
    world.save(world.filled("one"))
    world.log.cut((BEHAVIOURS, 1), 12)
    world.behave(range(20, 25))
    assert behind.exists()
    service = world.restoring("behind")
    service.assign([1]).result(PATIENCE_SECONDS)
    assert world.ends(service) is Phase.READY
    assert world.items(service) == list(range(25))
    assert world.files("behind") == ["behaviours-1"]


def test_without_a_snapshot_that_fits_the_store_stays_and_the_partition_stops(world: World) -> None:
    world.behave(range(5))
    behind = world.filled("behind")
    world.save(behind)
    world.behave(range(5, 20))
    world.log.cut((BEHAVIOURS, 1), 12)
    service = world.restoring("behind")
    service.assign([1]).result(PATIENCE_SECONDS)
    assert world.ends(service) is Phase.FAILED
    assert "Restore the store from a newer snapshot" in str(service.states()[1].error).replace("restore", "Restore")
    service.stop()
    with StoreReader.open(behind) as store:
        assert store.position == 5
    assert world.files("behind") == ["behaviours-1"]


def test_a_snapshot_that_is_made_meanwhile_is_found_at_the_next_assignment(world: World) -> None:
    world.behave(range(20))
    store = world.filled("one")
    world.log.cut((BEHAVIOURS, 1), 12)
    service = world.restoring("two")
    service.assign([1]).result(PATIENCE_SECONDS)
    assert world.ends(service) is Phase.FAILED
    world.save(store)
    service.assign([1]).result(PATIENCE_SECONDS)
    until(lambda: service.states()[1].phase is Phase.READY)
    assert world.items(service) == list(range(20))


def test_a_damaged_snapshot_is_passed_over(world: World) -> None:
    world.behave(range(10))
    world.save(world.filled("one"))
    world.behave(range(10, 20))
    late = world.save(world.filled("one"))
    manifest = SnapshotLocation(world.url, BEHAVIOURS, 1).manifest(late)
    only = {file.digest for file in manifest.files}
    for one in SnapshotLocation(world.url, BEHAVIOURS, 1).snapshots():
        if one.name != late and one.manifest:
            only -= {file.digest for file in one.manifest.files}
    for digest in only:
        path = world.directory / "there" / f"{BEHAVIOURS}-1" / "files" / digest
        path.write_bytes(bytes(path.stat().st_size))
    service = world.restoring("two")
    service.assign([1]).result(PATIENCE_SECONDS)
    assert world.ends(service) is Phase.READY
    assert world.items(service) == list(range(20))


def test_where_nothing_can_be_restored_the_log_is_read_from_its_start(world: World) -> None:
    world.behave(range(10))
    service = world.restoring("two")
    service.assign([1]).result(PATIENCE_SECONDS)
    assert world.ends(service) is Phase.READY
    assert world.items(service) == list(range(10))


class Slow:
    """A location that answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, LogBounds]] = []
        self.done: Future[bool] = Future()

    def missing(self, partition: int) -> bool:
        return partition == 1

    def start(self, partition: int, bounds: LogBounds) -> "Future[bool]":
        self.asked.append((partition, bounds))
        return self.done


def test_other_partitions_do_not_wait(world: World) -> None:
    world.behave(range(10))
    other = users_of(2, 1)[0]
    world.log.behaviour(other, 7)
    slow = Slow()
    service = world.service("two", slow)
    service.assign([1, 2]).result(PATIENCE_SECONDS)
    until(lambda: service.states()[2].phase is Phase.READY)
    assert service.states()[1].phase is Phase.OPENING
    service.assign([1, 2]).result(PATIENCE_SECONDS)
    until(lambda: service.states()[2].phase is Phase.READY)
    assert service.states()[1].phase is Phase.OPENING
    assert [(partition, bounds.begin, bounds.end) for partition, bounds in slow.asked] == [(1, 0, 10)]
    slow.done.set_result(False)
    assert world.ends(service) is Phase.READY
    assert world.items(service) == list(range(10))


def test_a_partition_that_left_meanwhile_stays_away(world: World) -> None:
    slow = Slow()
    service = world.service("two", slow)
    service.assign([1]).result(PATIENCE_SECONDS)
    service.revoke([1]).result(PATIENCE_SECONDS)
    slow.done.set_result(True)
    service.call(lambda: None).result(PATIENCE_SECONDS)
    assert service.states() == {}
    assert service.stores.partitions() == []


def test_one_restore_at_a_time_per_partition(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.behave(range(10))
    world.save(world.filled("one"))
    (world.directory / "two").mkdir()
    restorer = Restorer(world.url, world.directory / "two", identity)
    monkeypatch.setattr(restoring, "fitting", lambda *_: [])
    with restorer._slots, restorer._slots:
        first = restorer.start(1, LogBounds(0, 10))
        assert restorer.start(1, LogBounds(0, 10)) is first
        assert restorer.start(2, LogBounds(0, 10)) is not first
    assert first.result(PATIENCE_SECONDS) is False
    assert restorer.start(1, LogBounds(0, 10)) is not first


def test_a_store_with_readers_is_waited_for(world: World) -> None:
    world.behave(range(5))
    behind = world.filled("behind")
    world.behave(range(5, 20))
    world.save(world.filled("one"))
    reading = make_parts(world.directory / "behind", FakeEngine()).open_store(1, 0)
    restorer = Restorer(world.url, world.directory / "behind", identity)
    done = restorer.start(1, LogBounds(12, 20))
    assert behind.exists()
    reading.close()
    assert done.result(PATIENCE_SECONDS)
    with StoreReader.open(behind) as store:
        assert store.position == 20


def test_a_worker_that_stops_leaves_everything_as_it_was(world: World) -> None:
    world.behave(range(5))
    behind = world.filled("behind")
    world.behave(range(5, 20))
    world.save(world.filled("one"))
    restorer = Restorer(world.url, world.directory / "behind", identity)
    restorer.close()
    assert restorer.start(1, LogBounds(12, 20)).result(PATIENCE_SECONDS) is False
    with StoreReader.open(behind) as store:
        assert store.position == 5
    assert world.files("behind") == ["behaviours-1"]


@pytest.mark.parametrize("taken", [False, True])
def test_what_a_killed_worker_put_aside_is_seen_to(world: World, taken: bool) -> None:
    world.behave(range(5))
    store = world.filled("one")
    aside = store.parent / ".behaviours-1.behind"
    store.rename(aside)
    if taken:
        store.mkdir()
    Restorer(world.url, store.parent, identity)
    assert world.files("one") == ["behaviours-1"]
    assert any(store.iterdir()) is not taken


def test_how_each_attempt_ended_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.behave(range(10))
    world.save(world.filled("one"))
    told: list[tuple[str, float]] = []

    def attempt(place: str, bounds: LogBounds) -> str:
        (world.directory / place).mkdir()
        restorer = Restorer(world.url, world.directory / place, identity, lambda *how: told.append(how))
        restorer.start(1, bounds).result(PATIENCE_SECONDS)
        return told[-1][0]

    def torn(*_: object) -> None:
        raise SnapshotError(world.url, "it is shorter than the manifest says.", "none.")

    assert attempt("fits", LogBounds(0, 10)) == "restored"
    assert attempt("gap", LogBounds(11, 20)) == "none_fits"
    monkeypatch.setattr(restoring, "fetch", torn)
    assert attempt("torn", LogBounds(0, 10)) == "failed"
    monkeypatch.setattr(restoring, "fitting", lambda *_: 1 / 0)
    assert attempt("fault", LogBounds(0, 10)) == "failed"
    assert len(told) == 4
    assert all(seconds > 0 for _, seconds in told)
