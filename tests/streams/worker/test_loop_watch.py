"""The event loop's beat, seen from inside and from outside."""

import asyncio
import time

import pytest

from muse_stream.streams.worker.loop_watch import BEAT_SECONDS, WORST_SECONDS, LoopWatch


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_has_not_begun_fails_nothing() -> None:
    assert LoopWatch(30.0).check().ok


def test_the_check_says_how_late_it_was_and_fails_once_it_is_silent() -> None:
    clock = Clock()
    watch = LoopWatch(30.0, clock)

    async def scenario() -> None:
        watch.start()
        watch.close()

    asyncio.run(scenario())
    clock.now += 30
    found = watch.check()
    assert (found.ok, found.age_seconds, found.advice) == (True, 30.0, "")
    clock.now += 1
    found = watch.check()
    assert not found.ok
    assert found.age_seconds == 31.0
    assert "its stack is in the worker's log" in found.advice
    watch._note(clock.now, clock.now - BEAT_SECONDS - 0.4)
    assert watch.check().detail == "turned 0.0 s ago; in the last minute it was up to 400 ms late"
    for _ in range(2):
        clock.now += WORST_SECONDS
        watch._note(clock.now, clock.now - BEAT_SECONDS)
    assert "up to 0 ms late" in watch.check().detail


def test_where_a_held_loop_stands_is_written_down_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch(0.05)

    def hold_it() -> None:
        until = time.monotonic() + 10
        while not caplog.records and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)

    async def scenario() -> None:
        watch.start()
        hold_it()
        watch.close()

    asyncio.run(scenario())
    (record,) = caplog.records
    assert "the event loop has not turned for" in record.getMessage()
    assert "hold_it" in record.getMessage()
