"""Trouble with the log, found at the opening and while it is read: each stops what it concerns, loudly, and alone."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from muse_stream.state.database import LAYOUT_KEY
from muse_stream.state.errors import StoreWriteError
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.errors import IngestError, LogMismatchError, PositionError
from muse_stream.streams.ingest import watch
from muse_stream.streams.ingest.status import PartitionState, Phase, Stopped, stopped_by
from muse_stream.streams.records import TopicFacts
from tests.streams.ingest.fakes import BEHAVIOURS, COUNT, USERS, FakeLog, users_of
from tests.streams.ingest.test_service import PATIENCE_SECONDS, Worker, until

HERE = (BEHAVIOURS, 0)


@pytest.fixture(autouse=True)
def checks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(watch, "ENDS_SECONDS", 0.0)


@pytest.fixture
def log() -> FakeLog:
    log = FakeLog()
    log.facts = {BEHAVIOURS: TopicFacts("topic-one", COUNT), USERS: TopicFacts("users-one", COUNT)}
    for number in (0, 1):
        for item in (1, 2, 3):
            log.behaviour(users_of(number, 1)[0], item)
    return log


IDENTITY = StoreIdentity("test-cluster", BEHAVIOURS, 0, COUNT, "topic-one", "users-one")


def open_as(worker: Worker, directory: Path, identity: StoreIdentity) -> Worker:
    """Let the worker open its stores for this log."""

    def open_store(partition: int, start: int) -> BehaviourStore:
        path = directory / f"behaviours-{partition}"
        return BehaviourStore.open(path, replace(identity, partition=partition), Rules(), start_position=start or None)

    worker.service._parts = replace(worker.service._parts, open_store=open_store)
    return worker


@pytest.fixture
def worker(tmp_path: Path, log: FakeLog) -> Iterator[Worker]:
    worker = open_as(Worker(tmp_path, log), tmp_path, IDENTITY)
    yield worker
    worker.service.stop()


def recreated(log: FakeLog) -> None:
    """The topic is new, and has grown beyond every position already."""
    log.facts[BEHAVIOURS] = TopicFacts("topic-two", COUNT)
    for item in range(10, 30):
        log.behaviour(users_of(0, 1)[0], item)
        log.behaviour(users_of(1, 1)[0], item)


def users_recreated(log: FakeLog) -> None:
    log.facts[USERS] = TopicFacts("users-two", COUNT)


def grown(log: FakeLog) -> None:
    log.facts[BEHAVIOURS] = TopicFacts("topic-one", COUNT + 1)


def users_grown(log: FakeLog) -> None:
    log.facts[USERS] = TopicFacts("users-one", 2 * COUNT)


def replaced_cluster(log: FakeLog) -> None:
    log.cluster = "cluster-two"


WHOLE_TOPIC: list[tuple[Callable[[FakeLog], None], str]] = [
    (recreated, r"created again.*topic-one.*topic-two.*Operator action"),
    (users_recreated, r"users-0.*created again.*users-one.*users-two.*Operator action"),
    (grown, rf"has {COUNT + 1} partitions, store and settings say {COUNT}.*Operator action"),
    (users_grown, rf"has {2 * COUNT} partitions.*Operator action"),
    (replaced_cluster, r"built from cluster test-cluster, and cluster cluster-two answers.*Operator action"),
]


@pytest.mark.parametrize(("trouble", "text"), WHOLE_TOPIC)
def test_another_log_is_noticed_while_it_is_read(worker: Worker, trouble: Callable[[FakeLog], None], text: str) -> None:
    worker.assign(0, 1)
    worker.ready(0, 1)
    trouble(worker.log)
    until(lambda: {worker.phase(0), worker.phase(1)} == {Phase.FAILED})
    expect(worker.service.states()[0], text, Stopped.OTHER_LOG)


@pytest.mark.parametrize(("trouble", "text"), WHOLE_TOPIC)
def test_another_log_is_noticed_when_partitions_come_back(
    worker: Worker, trouble: Callable[[FakeLog], None], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CHECK_SECONDS", 3600.0)
    monkeypatch.setattr(watch, "ENDS_SECONDS", 3600.0)
    worker.assign(0, 1)
    worker.ready(0, 1)
    worker.service.revoke([1]).result(PATIENCE_SECONDS)
    trouble(worker.log)
    worker.assign(0, 1)
    assert {worker.phase(0), worker.phase(1)} == {Phase.FAILED}
    expect(worker.service.states()[0], text, Stopped.OTHER_LOG)


def expect(state: PartitionState, text: str, stopped: Stopped) -> None:
    assert re.search(text, str(state.error), re.DOTALL), state.error
    assert (state.stopped, state.ready) == (stopped, False)


def test_a_log_that_lost_its_end_stops_that_partition_alone(worker: Worker) -> None:
    """Brokers lost acknowledged records; nothing more comes, so the reader does not notice."""
    worker.assign(0, 1)
    worker.ready(0, 1)
    reader = worker.readers[0]
    reader.pause([HERE])
    del worker.log.rows[HERE][2:]
    until(lambda: worker.phase(0) is Phase.FAILED)
    expect(worker.service.states()[0], r"stands at 3, the log ends at 2.*unclean.*Operator action", Stopped.POSITION)
    assert worker.phase(1) is Phase.READY


def test_retention_that_overtakes_the_reader_stops_that_partition_alone(worker: Worker) -> None:
    worker.assign(0, 1)
    worker.ready(0, 1)
    reader = worker.readers[0]
    reader.pause([HERE])
    for item in (4, 5, 6):
        worker.log.behaviour(users_of(0, 1)[0], item)
    worker.log.cut(HERE, 5)
    reader.resume([HERE])
    until(lambda: worker.phase(0) is Phase.FAILED)
    assert worker.service.states()[0].stopped is Stopped.POSITION
    worker.log.behaviour(users_of(1, 1)[0], 9)
    until(lambda: worker.items(1, users_of(1, 1)[0])[-1] == 9)


def test_a_log_that_was_trimmed_beyond_the_groups_commit_is_read_on(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    """A commit is sent now and then and may be lost; the log may be trimmed up to the store's position."""
    worker.assign(0)
    worker.ready(0)
    worker.service.revoke([0]).result(PATIENCE_SECONDS)
    worker.log.commits[HERE] = 1
    worker.log.cut(HERE, 2)
    worker.log.behaviour(users_of(0, 1)[0], 4)
    worker.assign(0)
    until(lambda: worker.items(0, users_of(0, 1)[0]) == [1, 2, 3, 4])
    assert worker.phase(0) is Phase.READY
    assert "rejects from 1 to 2, if any, are gone unseen" in caplog.text
    assert worker.readers[0].assigned[-1][HERE] == 2


def test_a_partition_that_the_topic_does_not_have_stops_alone(worker: Worker) -> None:
    """The requests topic got more partitions than the behaviours have."""
    worker.assign(0, COUNT)
    worker.ready(0)
    expect(worker.service.states()[COUNT], r"has 4 partitions.*Operator action", Stopped.OTHER_LOG)


def test_a_topic_that_is_gone_is_said_and_waited_for(worker: Worker) -> None:
    worker.assign(0)
    worker.ready(0)
    kept = worker.log.facts.pop(USERS)
    until(lambda: "users do not exist" in str(worker.service.health().broker_error))
    assert worker.phase(0) is Phase.READY
    worker.log.facts[USERS] = kept
    until(lambda: worker.service.health().broker_error is None)
    assert worker.phase(0) is Phase.READY


def test_a_topic_whose_id_was_unknown_at_the_opening_is_compared_with_what_brokers_said_first(
    tmp_path: Path, log: FakeLog
) -> None:
    worker = Worker(tmp_path, log)
    worker.assign(0)
    worker.ready(0)
    with worker.service.stores.lease(0) as store:
        assert store.identity.topic_id == ""
    recreated(worker.log)
    until(lambda: worker.phase(0) is Phase.FAILED)
    worker.service.stop()


def test_brokers_without_topic_ids_leave_it_to_positions(tmp_path: Path, log: FakeLog) -> None:
    log.facts = dict.fromkeys((BEHAVIOURS, USERS), TopicFacts("", COUNT))
    worker = Worker(tmp_path, log)
    worker.assign(0)
    worker.ready(0)
    worker.service.revoke([0]).result(PATIENCE_SECONDS)
    log.rows.clear()
    worker.assign(0)
    expect(worker.service.states()[0], "stands at 3, the log ends at 0", Stopped.POSITION)
    worker.service.stop()


def test_an_answer_that_was_asked_for_before_the_position_moved_does_no_harm(worker: Worker) -> None:
    user = users_of(0, 1)[0]
    worker.assign(0)
    worker.ready(0)
    for item in range(4, 200):
        worker.log.behaviour(user, item)
    until(lambda: worker.items(0, user)[-1] == 199)
    assert worker.phase(0) is Phase.READY


def test_what_an_open_transaction_holds_back_is_told_apart_from_lag(worker: Worker) -> None:
    worker.assign(0, 1)
    worker.ready(0, 1)
    worker.log.held[HERE] = 7
    until(lambda: worker.service.states()[0].logs[BEHAVIOURS].held_back == 7)
    state = worker.service.states()[0].logs[BEHAVIOURS]
    assert state.lag_messages == 0
    assert state.held_since_ms is not None
    assert worker.service.states()[1].logs[BEHAVIOURS].held_back == 0
    worker.log.held.clear()
    until(lambda: worker.service.states()[0].logs[BEHAVIOURS].held_since_ms is None)
    assert worker.phase(0) is Phase.READY


def test_a_store_of_another_topic_stops_alone(tmp_path: Path, worker: Worker) -> None:
    BehaviourStore.open(tmp_path / "behaviours-0", replace(IDENTITY, topic="clicks"), Rules()).close()
    worker.assign(0, 1)
    worker.ready(1)
    expect(worker.service.states()[0], r"built from .*'clicks'.*expected .*'behaviours'", Stopped.OTHER_LOG)


def test_a_store_of_an_unknown_layout_stops_alone(tmp_path: Path, worker: Worker) -> None:
    path = tmp_path / "behaviours-0"
    BehaviourStore.open(path, IDENTITY, Rules()).close()
    raw = Rdict(str(path), Options(raw_mode=True))
    raw[LAYOUT_KEY] = b"behaviours/999"
    raw.close()
    worker.assign(0, 1)
    worker.ready(1)
    expect(worker.service.states()[0], r"layout 'behaviours/999'.*Operator action", Stopped.STORE)


def test_every_error_has_one_kind() -> None:
    assert stopped_by(LogMismatchError("")) is Stopped.POSITION
    assert stopped_by(PositionError("", {})) is Stopped.POSITION
    assert stopped_by(LogMismatchError("", other_log=True)) is Stopped.OTHER_LOG
    assert stopped_by(StoreWriteError("")) is Stopped.STORE
    assert stopped_by(IngestError("")) is Stopped.FAULT
