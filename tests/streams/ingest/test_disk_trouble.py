"""What the disk refuses stops its partition alone, and is tried again; what is damaged waits for an operator."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from muse_stream.state.database import Database
from muse_stream.state.errors import DamagedStoreError, StoreDiskError, StoreLockedError, StoreWriteError
from muse_stream.streams.errors import LogMismatchError, PartitionNotHereError
from muse_stream.streams.ingest import retry
from muse_stream.streams.ingest.retry import NEVER, Retry
from muse_stream.streams.ingest.status import Phase
from tests.state.small_disk import run
from tests.streams.ingest.fakes import FakeLog, open_store, users_of
from tests.streams.ingest.test_service import Worker, until

REFUSED = StoreWriteError("No space left on device. Operator action: make space.")
HURT, WELL = users_of(0, 1)[0], users_of(1, 1)[0]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.01)
    worker = Worker(tmp_path, FakeLog())
    worker.assign(0, 1)
    worker.ready(0, 1)
    yield worker
    worker.service.stop()


class Disk:
    """Refuses the writes of partition 0 while `full`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full, self.refused, self._write = False, 0, Database.write
        disk = self

        def write(database: Database, out: Any) -> None:
            if disk.full and database.path.name == "behaviours-0":
                disk.refused += 1
                raise REFUSED
            disk._write(database, out)

        monkeypatch.setattr(Database, "write", write)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_refused_write_is_tried_again_until_it_is_taken(worker: Worker, disk: Disk) -> None:
    disk.full = True
    for item in range(1, 20):
        worker.log.behaviour(HURT, item)
        worker.log.behaviour(WELL, item)
    until(lambda: disk.refused >= 3)
    until(lambda: worker.items(1, WELL) == list(range(1, 20)))
    waits = worker.service.wait_for(0, 5)
    disk.full = False
    worker.ready(0)
    assert worker.items(0, HURT) == list(range(1, 20))
    assert waits.done() or waits.result(20)
    assert worker.service.states()[0].error is None
    assert worker.service.serves(0)


def test_a_partition_that_left_meanwhile_is_not_opened_again(worker: Worker, disk: Disk, tmp_path: Path) -> None:
    disk.full = True
    worker.log.behaviour(HURT, 1)
    until(lambda: worker.phase(0) is Phase.FAILED)
    worker.service.revoke([0]).result(20)
    disk.full = False
    worker.log.behaviour(WELL, 7)
    until(lambda: worker.items(1, WELL) == [7])
    assert list(worker.service.states()) == [1]
    with closing(open_store(tmp_path, 0, 0)) as store:
        assert store.position == 0


def test_a_directory_that_another_holds_is_opened_once_it_is_free(worker: Worker, tmp_path: Path) -> None:
    with closing(open_store(tmp_path, 2, 0)):
        worker.assign(0, 1, 2)
        assert "stop the other process" in (worker.service.states()[2].error or "")
    worker.ready(0, 1, 2)


def test_damage_that_a_reader_reports_stops_the_partition_until_the_next_assignment(worker: Worker) -> None:
    worker.log.behaviour(HURT, 1)
    until(lambda: worker.items(0, HURT) == [1])
    worker.service.report(0, DamagedStoreError(Path("behaviours-0"), "a block is wrong.", "restore a snapshot."))
    until(lambda: worker.phase(0) is Phase.FAILED)
    error = worker.service.states()[0].error or ""
    assert "restore a snapshot" in error
    assert "without a restart" not in error
    assert not worker.service.serves(0)
    with pytest.raises(PartitionNotHereError):
        worker.items(0, HURT)
    worker.log.behaviour(WELL, 1)
    until(lambda: worker.items(1, WELL) == [1])
    assert worker.phase(0) is Phase.FAILED
    worker.assign(0, 1)
    worker.ready(0)


def test_pauses_double_to_a_minute_and_begin_anew_after_a_calm_one() -> None:
    pauses, now, told = [], 0.0, Retry()
    for _ in range(9):
        told.begins()
        told.opened(now)
        assert told.failed(REFUSED, now).startswith(" It is tried again in")
        pauses.append(told.at - now)
        now = told.at
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    told.begins()
    told.opened(now)
    told.failed(REFUSED, now + 61)
    assert told.at == now + 62


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (REFUSED, True),
        (StoreDiskError(Path(), "read-only.", "remount."), True),
        (StoreLockedError(Path(), "held.", "wait."), True),
        (DamagedStoreError(Path(), "broken.", "restore."), False),
        (LogMismatchError("the log is another"), False),
    ],
)
def test_only_what_can_pass_is_tried_again(error: Exception, again: bool) -> None:
    told = Retry()
    assert bool(told.failed(error, 5.0)) is again
    assert (told.at != NEVER) is again


def test_a_full_disk_gets_space_again(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    run("tests.streams.ingest.full_disk", "fills", tmp_path / "disk")
