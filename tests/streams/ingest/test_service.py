import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from muse_stream.streams.errors import IngestStoppedError, PartitionNotHereError
from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.ingest.status import BatchStats, Phase
from tests.streams.ingest.fakes import (
    BEHAVIOURS,
    USERS,
    FakeAsks,
    FakeEngine,
    FakeLog,
    FakeReader,
    FakeSink,
    items_of,
    make_parts,
    users_of,
)

PATIENCE_SECONDS = 20.0


def until(condition: Callable[[], object]) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.002)


class Worker:
    """A running service over an in-memory log."""

    def __init__(self, directory: Path, log: FakeLog, **parts: bool) -> None:
        self.log, self.sink, self.engine = log, FakeSink(), FakeEngine()
        self.readers: list[FakeReader] = []
        self.stats: list[BatchStats] = []
        self.service = IngestService(
            make_parts(directory, self.engine, **parts),
            self._reader,
            self.sink,
            observe=self.stats.append,
            asks=FakeAsks(log),
        )
        self.service.start()

    def _reader(self) -> FakeReader:
        reader = FakeReader(self.log)
        reader.beginning_offsets([])
        self.readers.append(reader)
        return reader

    def assign(self, *serving: int, standby: tuple[int, ...] = ()) -> None:
        self.service.assign(serving, standby).result(PATIENCE_SECONDS)

    def phase(self, partition: int) -> Phase:
        return self.service.states()[partition].phase

    def ready(self, *partitions: int) -> None:
        until(lambda: all(self.phase(partition) is Phase.READY for partition in partitions))

    def items(self, partition: int, user: int) -> list[int]:
        with self.service.stores.lease(partition) as store:
            return items_of(store, user)  # type: ignore[arg-type]


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def worker(tmp_path: Path, log: FakeLog) -> Iterator[Worker]:
    worker = Worker(tmp_path, log)
    yield worker
    worker.service.stop()


def test_an_assigned_partition_becomes_ready_with_what_the_log_held(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    for item in range(1, 50):
        worker.log.behaviour(user, item)
    worker.assign(0)
    worker.ready(0)
    assert worker.items(0, user) == list(range(1, 50))
    state = worker.service.states()[0]
    assert (state.serving, state.error) == (True, None)
    assert state.logs[BEHAVIOURS].position == 49
    assert state.logs[USERS].position == 0


def test_revoked_partitions_close_and_come_back_where_they_were(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    worker.log.behaviour(user, 1)
    worker.assign(0)
    worker.ready(0)
    worker.service.revoke([0]).result(PATIENCE_SECONDS)
    assert worker.service.states() == {}
    with pytest.raises(PartitionNotHereError):
        worker.items(0, user)
    assert worker.log.commits[BEHAVIOURS, 0] == 1
    worker.log.behaviour(user, 2)
    worker.assign(0)
    worker.ready(0)
    assert worker.items(0, user) == [1, 2]


def test_a_reader_survives_the_revocation_of_its_store(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    worker.log.behaviour(user, 1)
    worker.assign(0)
    worker.ready(0)
    with worker.service.stores.lease(0) as store:
        worker.service.revoke([0]).result(PATIENCE_SECONDS)
        with store.moment() as moment:
            assert moment.sequence(user).rows["item"].tolist() == [1]
    with pytest.raises(PartitionNotHereError):
        worker.items(0, user)


def test_not_before_waits_for_the_offset(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    worker.assign(0)
    worker.ready(0)
    waits = worker.service.wait_for(0, 0)
    assert not waits.done()
    worker.log.behaviour(user, 7)
    assert waits.result(PATIENCE_SECONDS) is True
    assert worker.items(0, user) == [7]
    assert worker.service.wait_for(0, 0).result(0) is True


def test_not_before_ends_at_the_deadline_and_at_revocation(worker: Worker) -> None:
    worker.assign(0)
    worker.ready(0)
    assert worker.service.wait_for(0, 0, monotonic() + 0.01).result(PATIENCE_SECONDS) is False
    waits = worker.service.wait_for(0, 0)
    worker.service.revoke([0]).result(PATIENCE_SECONDS)
    assert waits.result(PATIENCE_SECONDS) is False


def test_a_store_below_the_log_start_stops_alone_and_says_what_to_do(worker: Worker) -> None:
    for number in (0, 1):
        for item in (1, 2, 3):
            worker.log.behaviour(users_of(number, 1)[0], item)
    worker.assign(0, 1)
    worker.ready(0, 1)
    worker.service.revoke([0, 1]).result(PATIENCE_SECONDS)
    for item in (4, 5, 6):
        worker.log.behaviour(users_of(0, 1)[0], item)
    worker.log.cut((BEHAVIOURS, 0), 5)
    worker.assign(0, 1)
    worker.ready(1)
    state = worker.service.states()[0]
    assert state.phase is Phase.FAILED
    assert "stands at 3, the log begins at 5" in str(state.error)
    assert "snapshot" in str(state.error)
    assert not worker.service.serves(0)
    assert worker.service.serves(1)
    with pytest.raises(PartitionNotHereError):
        worker.items(0, users_of(0, 1)[0])


def test_a_store_above_the_log_end_stops(worker: Worker) -> None:
    for item in (1, 2, 3):
        worker.log.behaviour(users_of(0, 1)[0], item)
    worker.assign(0)
    worker.ready(0)
    worker.service.revoke([0]).result(PATIENCE_SECONDS)
    worker.log.rows.clear()
    worker.assign(0)
    assert "stands at 3, the log ends at 0" in str(worker.service.states()[0].error)


def test_an_empty_store_begins_in_a_shortened_log_only_when_told_to(tmp_path: Path, log: FakeLog) -> None:
    user = users_of(0, 1)[0]
    for item in (1, 2, 3):
        log.behaviour(user, item)
    log.add((USERS, 0), b"0", None)
    log.cut((BEHAVIOURS, 0), 2)
    log.cut((USERS, 0), 1)
    for allowed in (False, True):
        worker = Worker(tmp_path, log, start_at_log_start=allowed)
        worker.assign(0)
        if allowed:
            worker.ready(0)
            assert worker.items(0, user) == [3]
        else:
            assert "start_at_log_start" in str(worker.service.states()[0].error)
        worker.service.stop()


def test_a_partition_that_failed_is_tried_again_when_assigned_again(worker: Worker) -> None:
    worker.log.behaviour(users_of(0, 1)[0], 1)
    worker.log.cut((BEHAVIOURS, 0), 1)
    worker.assign(0)
    assert worker.phase(0) is Phase.FAILED
    worker.log.begin.clear()
    worker.assign(0)
    worker.ready(0)


def test_an_assignment_while_the_broker_is_away_is_made_when_it_is_back(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    worker.log.behaviour(user, 1)
    worker.log.away = True
    worker.assign(0)
    assert worker.phase(0) is Phase.OPENING
    assert "ConnectionError" in str(worker.service.health().broker_error)
    worker.log.away = False
    worker.ready(0)
    assert worker.service.health().broker_error is None
    assert worker.items(0, user) == [1]


def test_partitions_that_stay_are_not_read_again(worker: Worker) -> None:
    worker.log.behaviour(users_of(0, 1)[0], 1)
    worker.assign(0)
    worker.ready(0)
    worker.assign(0, 1)
    worker.ready(0, 1)
    assert worker.readers[0].assigned[-1][BEHAVIOURS, 0] == 1
    assert sum(stats.records for stats in worker.stats) == 1


def test_a_partition_that_stays_is_ready_only_with_the_log_as_it_is_now(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    worker.assign(0)
    worker.ready(0)
    reader = worker.readers[0]
    reader.pause([(BEHAVIOURS, 0)])
    worker.log.behaviour(user, 1)
    reader.assign = lambda _: None  # type: ignore[method-assign, assignment]
    worker.assign(0)
    assert worker.phase(0) is Phase.REPLAYING
    reader.resume([(BEHAVIOURS, 0)])
    worker.ready(0)
    assert worker.items(0, user) == [1]


def test_nothing_is_ready_before_the_broker_has_confirmed_an_assignment(worker: Worker) -> None:
    worker.assign(0)
    worker.ready(0)
    worker.log.away = True
    worker.assign(0)
    assert worker.phase(0) is Phase.REPLAYING
    worker.log.away = False
    worker.ready(0)


def test_a_standby_that_takes_over_letters_what_the_owner_did_not(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    worker.log.add((BEHAVIOURS, 0), str(user).encode(), b"not json")
    worker.log.commits[BEHAVIOURS, 0] = 0
    worker.assign(standby=(0,))
    worker.ready(0)
    assert worker.sink.letters == []
    assert not worker.service.states()[0].serving
    worker.assign(0)
    until(lambda: worker.sink.places() == [(0, 0)])
    until(lambda: worker.log.commits[BEHAVIOURS, 0] == 1)


def test_a_demoted_partition_goes_on_without_letters(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    worker.assign(0)
    worker.ready(0)
    worker.service.demote([0]).result(PATIENCE_SECONDS)
    worker.log.add((BEHAVIOURS, 0), str(user).encode(), b"not json")
    worker.log.behaviour(user, 2)
    until(lambda: worker.phase(0) is Phase.READY and worker.items(0, user) == [2])
    assert worker.sink.letters == []


def test_two_services_hand_a_partition_over_and_agree(tmp_path: Path, log: FakeLog) -> None:
    user = users_of(0, 1)[0]
    first, second = Worker(tmp_path / "a", log), Worker(tmp_path / "b", log)
    for item in range(1, 20):
        log.behaviour(user, item)
    log.add((BEHAVIOURS, 0), str(user).encode(), b"not json")
    first.assign(0)
    first.ready(0)
    first.service.revoke([0]).result(PATIENCE_SECONDS)
    for item in range(20, 40):
        log.behaviour(user, item)
    second.assign(0)
    second.ready(0)
    assert second.items(0, user) == list(range(1, 40))
    assert (first.sink.places(), second.sink.places()) == ([(0, 19)], [])
    for worker in (first, second):
        worker.service.stop()


def test_requests_make_batches_small(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    for item in range(1, 4_000):
        worker.log.behaviour(user, item)
    worker.assign(0)
    worker.ready(0)
    reader = worker.readers[0]
    large = reader.asked[-1]
    worker.service.note_request()
    until(lambda: reader.asked[-1] < large)


def test_an_unexpected_error_ends_the_thread_loudly(worker: Worker) -> None:
    worker.assign(0)
    worker.ready(0)
    waits = worker.service.wait_for(0, 5)

    def fails(timeout_seconds: float, *, serving: bool) -> int:
        message = f"unforeseen {timeout_seconds} {serving}"
        raise RuntimeError(message)

    assert worker.service._pump is not None
    worker.service._pump.turn = fails  # type: ignore[method-assign]
    until(lambda: not worker.service.health().alive)
    assert "unforeseen" in str(worker.service.health().error)
    assert waits.result(PATIENCE_SECONDS) is False
    with pytest.raises(IngestStoppedError, match="unforeseen"):
        worker.service.assign([1]).result(PATIENCE_SECONDS)
    until(lambda: worker.readers[0].closed)
    assert worker.service.wait_for(0, 5).result(0) is False


def test_commands_after_the_end_are_refused(tmp_path: Path, log: FakeLog) -> None:
    worker = Worker(tmp_path, log)
    worker.assign(0)
    worker.service.stop()
    worker.service.stop()
    assert worker.readers[0].closed
    with pytest.raises(IngestStoppedError, match="stopped"):
        worker.service.assign([0]).result(0)


def test_many_readers_while_partitions_come_and_go(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    for item in range(1, 100):
        worker.log.behaviour(user, item)
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                items = worker.items(0, user)
                if items != list(range(1, len(items) + 1)):
                    wrong.append(items)
            except PartitionNotHereError:
                continue

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        worker.assign(0)
        worker.ready(0)
        worker.service.revoke([0]).result(PATIENCE_SECONDS)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert wrong == []
