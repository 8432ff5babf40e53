"""Lag in seconds: 0 when idle, grows when the consumer stands still, never below the true age."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from muse_stream.monitoring.lag import END_STALE_MS, LagClock
from muse_stream.monitoring.readings import LagReading

NOW = 1_700_000_000_000
IDLE = LagReading("behaviours", 0, position=10, end=10)
BEHIND = LagReading("behaviours", 0, position=10, end=15)


def seconds(clock: LagClock, reading: LagReading, now_ms: int) -> float:
    return clock.seconds([reading], now_ms)[0]


def test_an_idle_partition_has_none_however_old_its_last_record() -> None:
    clock = LagClock()
    assert seconds(clock, replace(IDLE, unread_since_ms=NOW - 10**9), NOW) == 0
    assert seconds(clock, IDLE, NOW + 10**9) == 0


def test_an_end_learnt_before_the_position_is_no_lag() -> None:
    ahead = replace(IDLE, position=12)
    assert (ahead.known_end, ahead.messages) == (12, 0)
    assert seconds(LagClock(), ahead, NOW) == 0


def test_it_is_the_age_of_the_oldest_unread_record() -> None:
    assert seconds(LagClock(), replace(BEHIND, unread_since_ms=NOW - 2500), NOW) == 2.5


def test_it_grows_by_a_second_a_second_while_the_consumer_stands_still() -> None:
    clock = LagClock()
    reading = replace(BEHIND, unread_since_ms=NOW)
    assert [seconds(clock, reading, NOW + at) for at in (0, 1000, 61_000)] == [0, 1, 61]


def test_what_came_after_it_was_caught_up_is_no_older_than_that() -> None:
    clock = LagClock()
    seconds(clock, IDLE, NOW)
    hour_old = replace(BEHIND, unread_since_ms=NOW - 3_600_000)
    assert seconds(clock, hour_old, NOW + 200) == 0.2


def test_without_any_time_it_counts_from_the_first_sight() -> None:
    clock = LagClock()
    assert seconds(clock, BEHIND, NOW) == 0
    assert seconds(clock, BEHIND, NOW + 3000) == 3


def test_an_end_that_is_not_learnt_any_more_makes_it_grow() -> None:
    clock = LagClock()
    reading = replace(IDLE, end_seen_ms=NOW)
    assert seconds(clock, reading, NOW + END_STALE_MS) == 0
    assert seconds(clock, reading, NOW + END_STALE_MS + 1000) == (END_STALE_MS + 1000) / 1000


def test_a_revoked_partition_is_forgotten() -> None:
    clock = LagClock()
    seconds(clock, IDLE, NOW)
    assert clock.seconds([], NOW + 1) == []
    assert seconds(clock, replace(BEHIND, unread_since_ms=NOW - 5000), NOW + 10) == 5.01


def test_partitions_do_not_mix() -> None:
    clock = LagClock()
    other = replace(BEHIND, partition=1, unread_since_ms=NOW - 7000)
    assert clock.seconds([IDLE, other], NOW) == [0, 7]


def test_a_broker_clock_ahead_of_ours_gives_none() -> None:
    assert seconds(LagClock(), replace(BEHIND, unread_since_ms=NOW + 60_000), NOW) == 0


@given(
    st.lists(st.integers(0, 5_000), min_size=1, max_size=30),
    st.lists(st.booleans(), min_size=30, max_size=30),
    st.integers(1, 3),
)
def test_never_below_the_true_age(gaps_ms: list[int], reads: list[bool], step: int) -> None:
    """A log that gets a record at each step; the consumer reads everything at some steps and nothing at others."""
    clock, now, times, position = LagClock(), NOW, list[int](), 0
    for gap, read in zip(gaps_ms, reads, strict=False):
        now += gap
        times += [now] * step
        if read:
            position = len(times)
        last = times[position - 1] if position else None
        reading = LagReading("behaviours", 0, position, len(times), unread_since_ms=last, end_seen_ms=now)
        truth = (now - times[position]) / 1000 if position < len(times) else 0.0
        found = seconds(clock, reading, now)
        if position:
            assert found >= truth
        if position == len(times):
            assert found == 0
