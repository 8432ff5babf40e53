import pytest

from muse_stream.streams.ingest.waiting import OffsetWaiters
from tests.streams.ingest.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def waiters(clock: FakeClock) -> OffsetWaiters:
    return OffsetWaiters(clock.seconds)


def test_an_offset_that_is_stored_is_answered_at_once(waiters: OffsetWaiters) -> None:
    assert waiters.wait(0, 4, None, lambda: 5).result(0) is True


def test_waiters_wake_when_the_position_is_above_their_offset(waiters: OffsetWaiters) -> None:
    fourth, ninth = waiters.wait(0, 4, None, lambda: 0), waiters.wait(0, 9, None, lambda: 0)
    elsewhere = waiters.wait(1, 4, None, lambda: 0)
    waiters.advance(0, 4)
    assert not fourth.done()
    waiters.advance(0, 5)
    assert fourth.result(0) is True
    assert not ninth.done()
    assert not elsewhere.done()
    waiters.advance(0, 100)
    assert ninth.result(0) is True


def test_a_deadline_answers_false(waiters: OffsetWaiters, clock: FakeClock) -> None:
    soon = waiters.wait(0, 4, clock.now + 1, lambda: 0)
    late = waiters.wait(0, 4, clock.now + 5, lambda: 0)
    waiters.expire()
    assert not soon.done()
    clock.sleep(2)
    waiters.expire()
    assert soon.result(0) is False
    assert not late.done()
    waiters.advance(0, 5)
    assert late.result(0) is True


def test_giving_up_answers_all_of_a_partition(waiters: OffsetWaiters) -> None:
    here, there = waiters.wait(0, 4, None, lambda: 0), waiters.wait(1, 4, None, lambda: 0)
    waiters.give_up(0)
    assert here.result(0) is False
    assert not there.done()
    waiters.give_up()
    assert there.result(0) is False


def test_who_cancels_is_forgotten(waiters: OffsetWaiters) -> None:
    gone = waiters.wait(0, 4, None, lambda: 0)
    stays = waiters.wait(0, 5, None, lambda: 0)
    gone.cancel()
    waiters.expire()
    waiters.advance(0, 9)
    assert gone.cancelled()
    assert stays.result(0) is True
