"""Copies of partitions that left: counted, dropped by age, and never while anybody could be using them."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from muse_stream.monitoring import StaleReading
from muse_stream.state.items import ItemStore
from muse_stream.state.locks import WriterLock
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.worker.stale_copies import StaleCopies
from tests.streams.ingest.fakes import BEHAVIOURS, COUNT, FakeLog, users_of
from tests.streams.ingest.test_service import PATIENCE_SECONDS, Worker

HOURS = 10.0
IDENTITY = StoreIdentity("test-cluster", BEHAVIOURS, 0, COUNT)


class Bench:
    """A running ingest with a directory, and a clock that can be put forward."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.log = directory, FakeLog()
        for number in range(COUNT):
            for item in range(1, 20):
                self.log.behaviour(users_of(number, 1)[0], item)
        self.worker = Worker(directory, self.log)
        self.ahead_seconds, self.settled = 0.0, True
        self.stale = self.make(HOURS)

    def make(self, hours: float | None) -> StaleCopies:
        return StaleCopies(
            self.directory,
            BEHAVIOURS,
            self.worker.service,
            hours=hours,
            settled=lambda: self.settled,
            now=lambda: time.time() + self.ahead_seconds,
        )

    def assign(self, *partitions: int) -> None:
        self.worker.assign(*partitions)
        self.worker.ready(*partitions)

    def pass_hours(self, hours: float) -> None:
        self.ahead_seconds += hours * 3600

    def there(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.worker.service.stop()


def test_a_copy_goes_when_it_is_old_and_not_before(bench: Bench) -> None:
    bench.assign(0, 1)
    bench.assign(1)
    bench.stale.look()
    reading = bench.stale.reading()
    size = sum(file.stat().st_size for file in (bench.directory / "behaviours-0").iterdir())
    assert (reading.count, reading.dropped) == (1, 0)
    assert reading.bytes == size > 0
    bench.pass_hours(HOURS * 0.9)
    bench.stale.look()
    assert bench.there() == ["behaviours-0", "behaviours-1"]
    bench.pass_hours(HOURS * 0.2)
    bench.stale.look()
    assert bench.there() == ["behaviours-1"]
    assert bench.stale.reading() == StaleReading(0, 0, 1)
    bench.assign(0, 1)
    assert bench.worker.items(0, users_of(0, 1)[0]) == list(range(1, 20))


def test_being_open_makes_a_copy_young_again(bench: Bench) -> None:
    """Also where nothing was written, and where the process was killed: the files say so, not an account of ours."""
    bench.assign(0)
    bench.assign()
    path = bench.directory / "behaviours-0"
    for file in path.iterdir():
        os.utime(file, (1.0, 1.0))
    assert max(file.stat().st_mtime for file in path.iterdir()) == 1.0
    store = BehaviourStore.open(path, IDENTITY, Rules())
    opened = max(file.stat().st_mtime for file in path.iterdir())
    for file in path.iterdir():
        os.utime(file, (1.0, 1.0))
    store.close()
    closed = max(file.stat().st_mtime for file in path.iterdir())
    assert time.time() - 3600 < opened
    assert time.time() - 3600 < closed


@pytest.mark.parametrize("hours", [None, 0.0])
def test_without_an_age_nothing_goes(bench: Bench, hours: float | None) -> None:
    bench.assign(0)
    bench.assign()
    bench.pass_hours(1e6)
    stale = bench.make(hours)
    stale.look()
    assert stale.reading().count == 1
    assert bench.there() == ["behaviours-0"]


def test_nothing_goes_before_the_first_assignment(bench: Bench) -> None:
    bench.assign(0)
    bench.assign()
    bench.settled = False
    bench.pass_hours(2 * HOURS)
    bench.stale.look()
    assert bench.there() == ["behaviours-0"]


def test_what_is_open_lent_or_stopped_is_never_stale(bench: Bench) -> None:
    bench.assign(0, 1, 2)
    with bench.worker.service.stores.lease(0) as store:
        bench.worker.service.revoke([0, 2]).result(PATIENCE_SECONDS)
        bench.log.cut((BEHAVIOURS, 2), 25)
        bench.worker.assign(1, 2)
        assert bench.worker.service.states()[2].error
        bench.pass_hours(2 * HOURS)
        bench.stale.look()
        assert bench.there() == ["behaviours-0", "behaviours-1", "behaviours-2"]
        with store.moment() as moment:
            assert len(moment.sequence(users_of(0, 1)[0]).rows) == 19
    bench.stale.look()
    assert bench.there() == ["behaviours-1", "behaviours-2"]


def test_what_is_no_store_of_ours_stays(bench: Bench) -> None:
    bench.assign(0)
    bench.assign()
    path = bench.directory
    BehaviourStore.open(path / "behaviours-1", replace(IDENTITY, partition=1, topic="other"), Rules()).close()
    BehaviourStore.open(path / "behaviours-2", replace(IDENTITY, partition=3), Rules()).close()
    ItemStore.open(path / "behaviours-3", replace(IDENTITY, topic="items", partition=0, partition_count=1)).close()
    ItemStore.open(path / "items", replace(IDENTITY, topic="items", partition=0, partition_count=1)).close()
    (path / "behaviours-4").mkdir()
    (path / "behaviours-4" / "notes.txt").write_text("mine")
    (path / "behaviours-5").mkdir()
    (path / "behaviours-5" / "CURRENT").write_text("no database")
    (path / "behaviours-6").symlink_to(path / "behaviours-0")
    (path / "behaviours-7.bak").mkdir()
    before = set(bench.there())
    bench.pass_hours(2 * HOURS)
    bench.stale.look()
    assert before - set(bench.there()) == {"behaviours-0"}


def test_a_copy_that_somebody_else_writes_stays(bench: Bench) -> None:
    bench.assign(0)
    bench.assign()
    bench.pass_hours(2 * HOURS)
    lock = WriterLock.take(bench.directory / "behaviours-0")
    bench.stale.look()
    assert bench.there() == ["behaviours-0"]
    lock.release()
    bench.stale.look()
    assert bench.there() == []


def test_what_a_crash_left_half_deleted_goes_and_is_never_opened(bench: Bench) -> None:
    bench.assign(0)
    bench.assign()
    left = bench.directory / ".behaviours-0.dropped"
    (bench.directory / "behaviours-0").rename(left)
    next(left.glob("MANIFEST-*")).unlink()
    bench.assign(0)
    assert bench.worker.items(0, users_of(0, 1)[0]) == list(range(1, 20))
    bench.stale.look()
    assert bench.there() == ["behaviours-0"]


def test_an_assignment_before_the_rename_wins(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy was found old; before the ingest thread comes to it, the partition is assigned."""
    bench.assign(0)
    bench.assign()
    bench.pass_hours(2 * HOURS)
    is_ours = bench.stale._is_ours

    def assigned_meanwhile(copy: object) -> bool:
        bench.assign(0)
        return is_ours(copy)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.stale, "_is_ours", assigned_meanwhile)
    bench.stale.look()
    assert bench.stale.reading().dropped == 0
    assert bench.worker.items(0, users_of(0, 1)[0]) == list(range(1, 20))


def test_an_assignment_after_the_rename_begins_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.assign(0)
    bench.assign()
    bench.pass_hours(2 * HOURS)
    delete = shutil.rmtree

    def assigned_meanwhile(path: Path, *, ignore_errors: bool) -> None:
        bench.assign(0)
        delete(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", assigned_meanwhile)
    bench.stale.look()
    assert bench.stale.reading().dropped == 1
    assert bench.there() == ["behaviours-0"]
    assert bench.worker.items(0, users_of(0, 1)[0]) == list(range(1, 20))


def test_looks_and_assignments_at_the_same_time(bench: Bench) -> None:
    bench.pass_hours(2 * HOURS)
    over = threading.Event()

    def looks() -> None:
        while not over.is_set():
            bench.stale.look()

    thread = threading.Thread(target=looks)
    thread.start()
    for _ in range(10):
        bench.assign(0)
        assert bench.worker.items(0, users_of(0, 1)[0]) == list(range(1, 20))
        bench.assign()
    over.set()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def test_it_runs_by_itself_and_ends(bench: Bench) -> None:
    bench.assign(0)
    bench.assign()
    bench.pass_hours(2 * HOURS)
    bench.stale.start()
    until_gone = time.monotonic() + PATIENCE_SECONDS
    while bench.there() and time.monotonic() < until_gone:
        time.sleep(0.01)
    bench.stale.close()
    assert bench.there() == []
    assert not bench.stale.health().alive
