"""What counts as stuck, and what does not: brokers that are away, known reasons, gaps between looks, mere markers."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.status import LogState, PartitionState, Phase, Stopped
from muse_stream.streams.worker.watchdog import EXIT_STUCK, Watchdog
from tests.streams.ingest.fakes import FakeClock

SECONDS = 60.0


class Brokers:
    """What they say waits."""

    def __init__(self) -> None:
        self.waits: dict[int, int] = {}
        self.away = False
        self.only_markers = False
        self.closed = False

    def waiting(self, partitions: Iterable[int]) -> Mapping[int, int]:
        if self.away:
            message = "no broker"
            raise UnreachableError(message)
        return {partition: self.waits.get(partition, 0) for partition in partitions}

    def has_record(self, partition: int) -> bool:
        return not self.only_markers

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, on_stuck: str = "report") -> None:
        self.time, self.brokers = FakeClock(), Brokers()
        self.moved: Counter[int] = Counter()
        self.states: list[PartitionState] = []
        self.ended: list[int] = []
        clock = Clock(self.time.seconds, self.time.wall_ms, self.time.sleep)
        self.watchdog = Watchdog(
            self.brokers,
            self.moved.__getitem__,
            lambda: [self._seen_now(state) for state in self.states],
            seconds=SECONDS,
            on_stuck=on_stuck,
            clock=clock,
            end=self.ended.append,
        )
        asyncio.run(self.watchdog.assigned(frozenset({0, 1})))

    def _seen_now(self, state: PartitionState) -> PartitionState:
        logs = {
            topic: replace(log, end_seen_ms=log.end_seen_ms or self.time.wall_ms()) for topic, log in state.logs.items()
        }
        return replace(state, logs=logs)

    def pass_time(self, seconds: float) -> dict[str, int]:
        """Look as often as the watchdog wants to."""
        until = self.time.now + seconds
        while self.time.now < until:
            self.time.now += self.watchdog._turn()
        return self.watchdog.stuck()


def reading(position: int = 5, end: int = 9, phase: Phase = Phase.READY, **more: object) -> PartitionState:
    log = LogState(position, end, 0, 0, None, None)
    return PartitionState(0, True, phase, {"behaviours": replace(log, **more)})  # type: ignore[arg-type]


def test_requests_that_nobody_takes_are_stuck() -> None:
    bench = Bench()
    bench.brokers.waits[1] = 5
    assert bench.pass_time(SECONDS - 10) == {}
    assert bench.watchdog.ready_check().ok
    assert bench.pass_time(20) == {"requests": 1}
    found = bench.watchdog.ready_check()
    assert not found.ok
    assert "requests/1: 5 records wait, and nothing has moved for" in found.detail
    assert bench.watchdog.live_check().ok
    assert bench.ended == []
    bench.moved[1] += 1
    assert bench.pass_time(10) == {}
    assert bench.watchdog.ready_check().ok


def test_slow_is_not_stuck() -> None:
    bench = Bench("exit")
    bench.brokers.waits[0] = 1_000
    for _ in range(10):
        bench.pass_time(SECONDS * 0.8)
        bench.moved[0] += 1
    assert bench.ended == []


def test_nothing_that_waits_is_not_stuck() -> None:
    bench = Bench("exit")
    bench.states = [reading(9, 9)]
    assert bench.pass_time(10 * SECONDS) == {}


@pytest.mark.parametrize(
    ("on_stuck", "live", "ended"), [("report", True, []), ("not_live", False, []), ("exit", False, [EXIT_STUCK])]
)
def test_what_it_leads_to_is_a_setting(on_stuck: str, live: bool, ended: list[int]) -> None:
    bench = Bench(on_stuck)
    bench.brokers.waits[0] = 1
    bench.pass_time(SECONDS + 1)
    assert bench.watchdog.live_check().ok is live
    assert bench.ended[:1] == ended


def test_brokers_that_are_away_are_other_trouble_and_time_begins_anew_after_it() -> None:
    bench = Bench("exit")
    bench.brokers.waits[0] = 1
    bench.pass_time(SECONDS * 0.8)
    bench.brokers.away = True
    assert bench.pass_time(10 * SECONDS) == {}
    assert "no broker" in bench.watchdog.ready_check().detail
    bench.brokers.away = False
    assert bench.pass_time(SECONDS * 0.8) == {}
    assert bench.ended == []
    bench.pass_time(SECONDS * 0.4)
    assert bench.ended[:1] == [EXIT_STUCK]


def test_a_process_that_was_paused_begins_anew() -> None:
    bench = Bench("exit")
    bench.brokers.waits[0] = 1
    bench.pass_time(SECONDS * 0.8)
    bench.time.now += SECONDS
    assert bench.pass_time(SECONDS * 0.8) == {}
    assert bench.ended == []


def test_a_marker_at_the_end_of_the_log_is_no_request() -> None:
    bench = Bench("exit")
    bench.brokers.waits[0], bench.brokers.only_markers = 1, True
    assert bench.pass_time(5 * SECONDS) == {}
    assert bench.ended == []
    bench.brokers.only_markers = False
    assert bench.pass_time(SECONDS + 10) == {"requests": 1}


def test_a_consumer_that_never_rejoins() -> None:
    bench = Bench()
    asyncio.run(bench.watchdog.suspended())
    assert bench.pass_time(SECONDS - 10) == {}
    assert bench.pass_time(20) == {"assignment": 1}
    assert "no assignment" in bench.watchdog.ready_check().detail
    asyncio.run(bench.watchdog.assigned(frozenset()))
    assert bench.pass_time(SECONDS * 3) == {}


def test_rebalances_that_end_are_not_stuck() -> None:
    bench = Bench("exit")
    bench.brokers.waits[0] = 4
    for _ in range(5):
        asyncio.run(bench.watchdog.suspended())
        bench.pass_time(SECONDS * 0.8)
        asyncio.run(bench.watchdog.assigned(frozenset({0})))
        bench.pass_time(SECONDS * 0.8)
    assert bench.ended == []


def test_records_that_nobody_reads() -> None:
    bench = Bench()
    bench.states = [reading()]
    assert bench.pass_time(SECONDS + 10) == {"ingest": 1}
    assert "behaviours/0: 4 records wait" in bench.watchdog.ready_check().detail
    bench.states = [reading(position=6)]
    assert bench.pass_time(10) == {}


def test_a_store_that_is_being_restored_or_converted_is_not_stuck() -> None:
    bench = Bench("exit")
    bench.states = [PartitionState(0, True, Phase.OPENING)]
    assert bench.pass_time(5 * SECONDS) == {}
    assert bench.ended == []


@pytest.mark.parametrize(
    "state",
    [
        reading(waiting="dead letters are on their way"),
        reading(end_seen_ms=1),
        replace(reading(), phase=Phase.FAILED, stopped=Stopped.POSITION, error="gone"),
    ],
    ids=["waits for dead letters", "its end is unknown", "has stopped"],
)
def test_what_stands_still_for_a_known_reason_is_not_stuck(state: PartitionState) -> None:
    bench = Bench("exit")
    bench.states = [state]
    assert bench.pass_time(5 * SECONDS) == {}
    assert bench.ended == []


def test_closing_leaves_the_brokers() -> None:
    bench = Bench()
    bench.watchdog.start()
    bench.watchdog.close()
    assert bench.brokers.closed
