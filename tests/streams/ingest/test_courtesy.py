import threading
from threading import Event

import pytest

from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.courtesy import COURTESY_SECONDS, Courtesy


class Waits:
    """A clock that only waiting moves; it keeps how long each wait was allowed to be."""

    def __init__(self, *, over_after: float | None = None) -> None:
        self.now, self.waits = 0.0, list[float]()
        self._over_after = over_after
        self.clock = Clock(seconds=lambda: self.now, wait=self._wait)

    def _wait(self, event: Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds if self._over_after is None else min(seconds, self._over_after)
        return event.is_set()


def test_nobody_waits_while_no_pass_runs() -> None:
    courtesy, waits = Courtesy(), Waits()
    courtesy.allow(COURTESY_SECONDS)
    courtesy.give_way(waits.clock)
    assert waits.waits == []


def test_a_turn_waits_for_the_pass() -> None:
    courtesy, waits = Courtesy(), Waits()
    courtesy.allow(COURTESY_SECONDS)
    with courtesy:
        courtesy.give_way(waits.clock)
    assert waits.waits == [COURTESY_SECONDS]


def test_the_end_of_the_pass_ends_the_wait() -> None:
    courtesy, waiting = Courtesy(), Event()

    def wait(event: Event, _: float) -> bool:
        waiting.set()
        return event.wait()

    courtesy.allow(COURTESY_SECONDS)
    with courtesy:
        thread = threading.Thread(target=courtesy.give_way, args=(Clock(wait=wait),), daemon=True)
        thread.start()
        assert waiting.wait(30)
        assert thread.is_alive()
    thread.join(30)
    assert not thread.is_alive()


def test_a_pass_that_fails_is_over_too() -> None:
    courtesy, waits = Courtesy(), Waits()
    courtesy.allow(COURTESY_SECONDS)
    with pytest.raises(ZeroDivisionError), courtesy:
        _ = 1 // 0
    courtesy.give_way(waits.clock)
    assert waits.waits == []


def test_an_allowance_is_used_up_once_a_turn() -> None:
    courtesy, waits = Courtesy(), Waits(over_after=1 / 512)
    with courtesy:
        courtesy.allow(4 / 512)
        for _ in range(10):
            courtesy.give_way(waits.clock)
        assert waits.waits == [4 / 512, 3 / 512, 2 / 512, 1 / 512]
        courtesy.allow(1 / 512)
        courtesy.give_way(waits.clock)
    assert waits.waits[4:] == [1 / 512]


def test_no_turn_may_wait_longer_than_the_bound() -> None:
    courtesy, waits = Courtesy(), Waits()
    courtesy.allow(60.0)
    with courtesy:
        courtesy.give_way(waits.clock)
    assert waits.waits == [COURTESY_SECONDS]
