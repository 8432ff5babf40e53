import threading
import time

import pytest

from muse_stream.streams.ingest import courtesy as module
from muse_stream.streams.ingest.courtesy import Courtesy

LONG_SECONDS = 60.0


@pytest.fixture
def courtesy(monkeypatch: pytest.MonkeyPatch) -> Courtesy:
    monkeypatch.setattr(module, "COURTESY_SECONDS", LONG_SECONDS)
    return Courtesy()


def waiting(courtesy: Courtesy) -> threading.Thread:
    """A thread that gives way."""
    thread = threading.Thread(target=courtesy.give_way, daemon=True)
    thread.start()
    return thread


def test_nobody_waits_while_no_pass_runs(courtesy: Courtesy) -> None:
    courtesy.allow(LONG_SECONDS)
    thread = waiting(courtesy)
    thread.join(LONG_SECONDS / 2)
    assert not thread.is_alive()


def test_a_turn_waits_for_the_pass_and_no_longer(courtesy: Courtesy) -> None:
    courtesy.allow(LONG_SECONDS)
    with courtesy:
        thread = waiting(courtesy)
        time.sleep(0.02)
        assert thread.is_alive()
    thread.join(LONG_SECONDS / 2)
    assert not thread.is_alive()


def test_a_pass_that_fails_is_over_too(courtesy: Courtesy) -> None:
    courtesy.allow(LONG_SECONDS)
    with pytest.raises(ZeroDivisionError), courtesy:
        _ = 1 // 0
    thread = waiting(courtesy)
    thread.join(LONG_SECONDS / 2)
    assert not thread.is_alive()


def test_an_allowance_is_used_up_once_a_turn(courtesy: Courtesy) -> None:
    with courtesy:
        courtesy.allow(0.02)
        courtesy.give_way()
        for _ in range(1_000):
            courtesy.give_way()
        thread = waiting(courtesy)
        thread.join(LONG_SECONDS / 2)
        assert not thread.is_alive()


def test_no_turn_may_wait_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COURTESY_SECONDS", 0.01)
    courtesy = Courtesy()
    with courtesy:
        courtesy.allow(LONG_SECONDS)
        thread = waiting(courtesy)
        thread.join(LONG_SECONDS / 2)
        assert not thread.is_alive()
