import threading
from collections.abc import Iterator

import pytest

from muse_stream.streams.errors import IngestStoppedError
from muse_stream.streams.ingest.loop import LoopThread
from tests.streams.ingest.test_service import PATIENCE_SECONDS, until


class Counting(LoopThread):
    """Counts its turns; fails when told to."""

    def __init__(self) -> None:
        super().__init__("counting")
        self.turns = self.released = 0
        self.fails = False

    def _turn(self) -> float:
        self.turns += 1
        if self.fails:
            message = "the turn failed"
            raise RuntimeError(message)
        return 30.0

    def _wake(self) -> None:
        pass

    def _release(self) -> None:
        self.released += 1


@pytest.fixture
def loop() -> Iterator[Counting]:
    loop = Counting()
    loop.start()
    yield loop
    loop.stop()


def test_a_command_ends_the_rest_and_runs_in_the_thread(loop: Counting) -> None:
    assert loop.call(threading.current_thread).result(PATIENCE_SECONDS).name == "counting"
    turns = loop.turns
    loop.call(lambda: None).result(PATIENCE_SECONDS)
    until(lambda: loop.turns > turns)


def test_what_takes_long_can_say_that_it_moves() -> None:
    now = [0.0]
    loop = LoopThread.__new__(Counting)
    LoopThread.__init__(loop, "slow", lambda: now[0])
    now[0] = 90.0
    assert loop.health().beat_age_seconds == 90
    loop.beat()
    assert loop.health().beat_age_seconds == 0


def test_a_command_that_fails_fails_only_its_caller(loop: Counting) -> None:
    with pytest.raises(ZeroDivisionError):
        loop.call(lambda: 1 // 0).result(PATIENCE_SECONDS)
    assert loop.health().alive


def test_a_cancelled_command_does_not_run(loop: Counting) -> None:
    gate, ran = threading.Event(), []
    loop.call(lambda: gate.wait(PATIENCE_SECONDS))
    second = loop.call(lambda: ran.append(2))
    assert second.cancel()
    gate.set()
    loop.call(lambda: None).result(PATIENCE_SECONDS)
    assert ran == []


def test_a_turn_that_fails_ends_the_loop_and_answers_everyone(loop: Counting) -> None:
    loop.fails = True
    loop.call(lambda: None).result(PATIENCE_SECONDS)
    until(lambda: not loop.health().alive)
    assert "the turn failed" in str(loop.health().error)
    with pytest.raises(IngestStoppedError, match="the turn failed"):
        loop.call(lambda: None).result(PATIENCE_SECONDS)
    until(lambda: loop.released == 1)


def test_stopping_releases_once_and_can_be_repeated(loop: Counting) -> None:
    loop.stop()
    loop.stop()
    assert loop.released == 1
    assert not loop.health().alive
    assert loop.health().error is None


def test_a_thread_that_does_not_end_in_time_is_named() -> None:
    loop, gate = Counting(), threading.Event()
    loop.start()
    loop.call(lambda: gate.wait(PATIENCE_SECONDS))
    with pytest.raises(IngestStoppedError, match="counting did not stop"):
        loop.stop(0.05)
    gate.set()
    loop.stop()


def test_stopping_what_was_never_started_is_quiet() -> None:
    Counting().stop()
