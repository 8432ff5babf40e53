from collections.abc import Iterator
from pathlib import Path

import pytest

from muse_stream.state.store import BehaviourStore
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.ports import TopicPartition
from muse_stream.streams.ingest.pump import Pump, PumpHooks
from muse_stream.streams.ingest.questions import ask_logs
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.wire.canary import canary_users
from muse_stream.streams.wire.ids import id_of
from tests.streams.ingest.fakes import (
    BEHAVIOURS,
    COUNT,
    USERS,
    FakeAsks,
    FakeClock,
    FakeEngine,
    FakeLog,
    FakeReader,
    FakeSink,
    items_of,
    make_parts,
    open_store,
    users_of,
)

BAD = b'{"item": 1, "time_ms": -5, "action": 1}'


class Bench:
    """A pump over an in-memory log, real stores and a clock that only sleeping moves."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log, self.sink, self.engine, self.time = FakeLog(), FakeSink(), FakeEngine(), FakeClock()
        self.reader = FakeReader(self.log)
        self.stats: list[BatchStats] = []
        self.failed: dict[TopicPartition, Exception] = {}
        self.stores: dict[int, BehaviourStore] = {}
        self.parts = make_parts(directory, self.engine)
        hooks = PumpHooks(self.stats.append, lambda _: None, self.failed.__setitem__)
        clock = Clock(self.time.seconds, self.time.wall_ms, self.time.sleep, self.time.seconds)
        self.pump = Pump(self.reader, FakeAsks(self.log), self.sink, sizer=BatchSizer(), hooks=hooks, clock=clock)

    def open(self, *partitions: int, serving: bool = True) -> list[Cursor]:
        cursors = []
        for number in partitions:
            if number not in self.stores:
                self.stores[number] = open_store(self.directory, number, 0)
            answers = ask_logs(self.reader, None, self.parts.topics(number), 0, commits=True)
            opened = self.parts.cursors(number, self.stores[number], answers)
            for cursor in opened:
                if serving:
                    cursor.serve(self.log.commits.get(cursor.at), 0)
            cursors += opened
        self.pump.reassign(cursors)
        return cursors

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.pump.turn(0.0, serving=False)
            self.time.sleep(0.3)

    def poison(self, partition: int) -> int:
        return self.log.add((BEHAVIOURS, partition), str(users_of(partition, 1)[0]).encode(), BAD)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for store in bench.stores.values():
        store.close()


def test_rows_and_position_are_stored_and_the_engine_is_told(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    for item in (5, 6, 7):
        bench.log.behaviour(user, item)
    bench.open(0)
    bench.turn()
    assert items_of(bench.stores[0], user) == [5, 6, 7]
    assert bench.stores[0].position == 3
    assert bench.engine.told == [("append", [user])]
    (stats,) = bench.stats
    assert (stats.records, stats.rows, stats.applied, stats.live) == (3, 3, 3, False)
    assert stats.event_time_ms.tolist() == [1_700_000_000_005, 1_700_000_000_006, 1_700_000_000_007]


def test_erased_users_leave_the_engine_before_the_rows_come(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    bench.log.behaviour(user, 5)
    bench.log.add((BEHAVIOURS, 0), str(user).encode(), None)
    bench.log.behaviour(user, 6)
    bench.open(0)
    bench.turn()
    assert bench.engine.told == [("drop", [user]), ("append", [user])]
    assert items_of(bench.stores[0], user) == [6]
    assert bench.stats[0].erased == 1


def test_a_canary_is_stored_and_in_no_figure_but_the_rows(bench: Bench) -> None:
    user, canary = users_of(0, 1)[0], canary_users(COUNT)[0].encode()
    value = b'{"item":9,"time_ms":1700000000000,"action":0}'
    for key, sent in ((canary, None), (canary, value), (canary, value), (canary, None), (canary, value)):
        bench.log.add((BEHAVIOURS, 0), key, sent)
    bench.log.behaviour(user, 5)
    bench.open(0)
    bench.turn()
    assert items_of(bench.stores[0], id_of(canary.decode())) == [9]
    (stats,) = bench.stats
    assert (stats.records, stats.rows, stats.applied, stats.erased, stats.rejects) == (6, 6, 1, 0, {})
    assert stats.event_time_ms.tolist() == [1_700_000_000_005]
    assert len(stats.broker_time_ms) == 1


def test_profiles_are_stored_with_their_own_position(bench: Bench) -> None:
    user = users_of(1, 1)[0]
    bench.log.add((USERS, 1), str(user).encode(), b'{"features": {"country": 17}}')
    bench.open(1)
    bench.turn()
    with bench.stores[1].moment() as moment:
        assert moment.profile(user) == b'{"country":17}'
    assert (bench.stores[1].position, bench.stores[1].users_position) == (0, 1)


def test_nothing_is_written_before_the_dead_letter_is_acknowledged(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    bench.log.behaviour(user, 5)
    bench.poison(0)
    bench.log.behaviour(user, 6)
    bench.sink.at_once = False
    (cursor, _) = bench.open(0)
    bench.turn(3)
    assert bench.stores[0].position == 0
    assert items_of(bench.stores[0], user) == []
    assert cursor.state().waiting
    assert bench.reader.paused == {(BEHAVIOURS, 0)}
    bench.sink.acknowledge()
    bench.turn()
    assert bench.sink.places() == [(0, 1)]
    assert items_of(bench.stores[0], user) == [5, 6]
    assert bench.stores[0].position == 3
    assert cursor.state().waiting is None
    assert bench.reader.paused == set()
    assert bench.stats[0].rejects == {"negative_time": 1}


def test_letters_are_sent_again_until_the_broker_is_back(bench: Bench) -> None:
    bench.poison(0)
    bench.sink.at_once = False
    (cursor, _) = bench.open(0)
    bench.turn()
    for _ in range(3):
        assert len(bench.sink.flying) == 1
        bench.sink.refuse()
        bench.turn()
        assert "no acknowledgement" in str(cursor.state().waiting)
        bench.time.sleep(20)
        bench.turn()
    assert bench.stores[0].position == 0
    bench.sink.acknowledge()
    bench.turn()
    assert bench.stores[0].position == 1
    assert bench.sink.places() == [(0, 0)]


def test_a_waiting_partition_does_not_hold_up_the_others(bench: Bench) -> None:
    bench.poison(0)
    user = users_of(1, 1)[0]
    bench.log.behaviour(user, 9)
    bench.sink.at_once = False
    bench.open(0, 1)
    bench.turn(2)
    assert bench.stores[0].position == 0
    assert items_of(bench.stores[1], user) == [9]


def test_what_queued_behind_a_waiting_batch_follows_in_order(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    bench.poison(0)
    bench.sink.at_once = False
    (cursor, _) = bench.open(0)
    bench.turn()
    bench.reader.paused.clear()
    for item in (1, 2, 3):
        bench.log.behaviour(user, item)
        bench.turn()
    assert len(cursor.backlog) == 3
    bench.sink.acknowledge()
    bench.turn()
    assert items_of(bench.stores[0], user) == [1, 2, 3]
    assert bench.stores[0].position == 4


def test_markers_move_the_position_without_rows(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    bench.log.behaviour(user, 1)
    bench.log.mark((BEHAVIOURS, 0))
    bench.log.mark((BEHAVIOURS, 0))
    (cursor, _) = bench.open(0)
    bench.turn()
    assert bench.stores[0].position == 3
    assert cursor.caught_up
    bench.log.mark((BEHAVIOURS, 0))
    bench.turn()
    assert bench.stores[0].position == 4


def test_a_partition_whose_store_fails_stops_alone(bench: Bench) -> None:
    for number in (0, 1):
        bench.log.behaviour(users_of(number, 1)[0], 1)
    bench.open(0, 1)
    bench.stores[0].close()
    bench.turn(2)
    assert list(bench.failed) == [(BEHAVIOURS, 0)]
    assert bench.stores[1].position == 1


def test_a_position_that_the_log_does_not_have_stops_that_partition_alone(bench: Bench) -> None:
    for number in (0, 1):
        bench.log.behaviour(users_of(number, 1)[0], 1)
    bench.open(0, 1)
    bench.log.cut((BEHAVIOURS, 0), 1)
    bench.turn(2)
    assert list(bench.failed) == [(BEHAVIOURS, 0)]
    bench.reader.assign({(BEHAVIOURS, 1): 0})
    bench.turn()
    assert bench.stores[1].position == 1


def test_the_broker_going_away_loses_nothing(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    bench.log.behaviour(user, 1)
    bench.open(0)
    bench.log.away = True
    bench.turn(2)
    assert "ConnectionError" in str(bench.pump.broker_error)
    bench.log.away = False
    bench.turn()
    assert bench.pump.broker_error is None
    assert items_of(bench.stores[0], user) == [1]


def test_commits_follow_the_store_and_their_failure_is_harmless(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    bench.log.behaviour(user, 1)
    bench.open(0)
    bench.reader.refuse_commits = True
    bench.turn()
    assert bench.stores[0].position == 1
    assert bench.log.commits == {}
    bench.reader.refuse_commits = False
    bench.time.sleep(5)
    bench.turn()
    assert bench.log.commits[BEHAVIOURS, 0] == 1


def test_a_standby_stores_the_same_without_letters_and_commits(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    bench.poison(0)
    bench.log.behaviour(user, 1)
    bench.open(0, serving=False)
    bench.turn(5)
    assert items_of(bench.stores[0], user) == [1]
    assert bench.sink.letters == []
    assert bench.log.commits == {}


def test_rejects_below_the_commit_are_not_lettered_again(bench: Bench) -> None:
    bench.poison(0)
    bench.poison(0)
    bench.log.commits[BEHAVIOURS, 0] = 1
    bench.open(0)
    bench.turn()
    assert bench.sink.places() == [(0, 1)]


def test_a_standby_that_is_ahead_of_the_commit_letters_what_the_old_owner_did_not(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    bench.log.behaviour(user, 1)
    bench.poison(0)
    bench.log.behaviour(user, 2)
    bench.log.commits[BEHAVIOURS, 0] = 1
    bench.open(0, serving=False)
    bench.turn()
    assert bench.stores[0].position == 3
    bench.log.behaviour(user, 3)
    (cursor, _) = bench.open(0)
    assert bench.reader.positions[BEHAVIOURS, 0] == 1
    bench.turn()
    assert bench.sink.places() == [(0, 1)]
    assert items_of(bench.stores[0], user) == [1, 2, 3]
    assert cursor.lettered == 4
    assert [stats.rejects for stats in bench.stats] == [{"negative_time": 1}, {}]


def test_an_observer_that_fails_does_not_stop_ingest(bench: Bench) -> None:
    def fails(_: BatchStats) -> None:
        raise ZeroDivisionError

    user = users_of(0, 1)[0]
    hooks = PumpHooks(fails, lambda _: None, bench.failed.__setitem__)
    clock = Clock(bench.time.seconds, bench.time.wall_ms, bench.time.sleep, bench.time.seconds)
    bench.pump = Pump(bench.reader, FakeAsks(bench.log), bench.sink, sizer=BatchSizer(), hooks=hooks, clock=clock)
    bench.log.behaviour(user, 1)
    bench.open(0)
    bench.turn()
    assert bench.stores[0].position == 1
    assert bench.failed == {}


def test_lag_counts_to_the_end_as_last_refreshed(bench: Bench) -> None:
    (cursor, _) = bench.open(0)
    bench.reader.pause([(BEHAVIOURS, 0)])
    for item in (1, 2):
        bench.log.behaviour(users_of(0, 1)[0], item)
    bench.time.sleep(2)
    bench.turn()
    assert cursor.state().lag_messages == 2
    assert cursor.state().end_seen_ms > 0
    bench.reader.resume([(BEHAVIOURS, 0)])
    bench.turn()
    assert cursor.state().lag_messages == 0


def test_partition_count_of_the_fakes_is_that_of_the_wire() -> None:
    assert {number for number in range(COUNT) if users_of(number, 1)} == set(range(COUNT))


def test_the_share_read_of_what_was_unread_at_the_assignment(bench: Bench) -> None:
    user = users_of(0, 1)[0]
    for item in range(1, 5):
        bench.log.behaviour(user, item)
    cursor, profiles = bench.open(0)
    assert (cursor.replayed, profiles.replayed) == (0.0, 1.0), "an empty log has nothing unread"
    bench.turn()
    assert cursor.replayed == 1.0
    for item in range(5, 9):
        bench.log.behaviour(user, item)
    cursor.aim(8)
    assert cursor.state().replayed == 0.0, "what was read before does not count"
    cursor.aim(12)
    bench.turn()
    assert cursor.state().replayed == 0.5


def test_the_time_of_a_commit_is_told_also_where_it_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    took: list[float] = []
    hooks = PumpHooks(bench.stats.append, lambda _: None, bench.failed.__setitem__, took.append)
    clock = Clock(bench.time.seconds, bench.time.wall_ms, bench.time.sleep)
    bench.pump = Pump(bench.reader, FakeAsks(bench.log), bench.sink, sizer=BatchSizer(), hooks=hooks, clock=clock)
    bench.log.behaviour(users_of(0, 1)[0], 5)
    bench.open(0)

    def slow(_: object) -> None:
        bench.time.sleep(2.5)
        message = "no broker"
        raise OSError(message)

    monkeypatch.setattr(bench.reader, "commit", slow)
    bench.turn()
    assert took == [pytest.approx(2.5)]
