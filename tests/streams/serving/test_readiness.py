"""Copies that are not up to date: who may answer from one, how the answer says so, and who never may."""

import asyncio
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import pytest

from muse_stream.streams.serving.desk import Desk, Reply
from muse_stream.streams.serving.readiness import CURRENT_SECONDS
from muse_stream.streams.wire.answers import Answer, Status, decode_answer
from muse_stream.streams.wire.encode import encode_request
from muse_stream.streams.wire.requests import NotBefore, RequestValue
from tests.streams.serving.parts import PARTITION, World
from tests.streams.serving.test_desk import LIMITS, NOW_MS, Copies, desk_of

BOUND = 30.0


@dataclass
class Ages(Copies):
    """A copy whose age is another one each time that it is asked for, the last one from then on."""

    ages: list[float] = field(default_factory=list)

    def late_seconds(self, partition: int) -> float:
        return self.ages.pop(0) if len(self.ages) > 1 else self.ages[0]


def ask(world: World, copies: Copies, *, bound: float = BOUND, http: bool = True, **options: Any) -> Answer | None:
    """The answer over HTTP, or to a record; None: left to the next owner."""
    value = RequestValue(request_id="r", candidates=[9], **options)
    return answer_of(desk_of(world, copies, replace(LIMITS, stale_max_seconds=bound)), value, http=http)


def answer_of(desk: Desk, value: RequestValue, *, http: bool) -> Answer | None:
    async def scenario() -> Reply | None:
        desk.start()
        try:
            pair = encode_request(1, value)
            return await desk.answer(*pair, partition=PARTITION, broker_time_ms=NOW_MS, may_stand_in=http)
        finally:
            await desk.stop()

    reply = asyncio.run(scenario())
    if reply is None:
        return None
    answer = decode_answer(reply.body)
    assert reply.stale_seconds == answer.stale_seconds
    return answer


def behind(*ages: float, **more: Any) -> Copies:
    """An owner's copy that is catching up."""
    return Ages(caught_up=False, ages=list(ages), **more)


def orphan(*ages: float) -> Copies:
    """The copy of a partition that this worker owned a moment ago and nobody owns now."""
    return Ages(served=False, left=True, ages=list(ages))


@pytest.mark.parametrize("http", [True, False])
def test_an_owner_s_copy_within_the_bound_answers_at_once_and_says_how_late_it_is(world: World, http: bool) -> None:
    world.behave(1, [2, 9, 4])
    answer = ask(world, behind(BOUND, 2.0004), http=http)
    assert answer is not None
    assert (answer.status, answer.stale_seconds) == (Status.OK, 2.001)
    assert answer.positions is not None
    assert answer.positions.behaviours.offset == 3, "the moment that was read"


def test_a_partition_that_nobody_owns_is_answered_for_over_http_alone(world: World) -> None:
    answer = ask(world, orphan(1.0))
    assert answer is not None
    assert answer.stale_seconds == 1.0
    assert ask(world, orphan(1.0), http=False) is None, "its next owner answers the record"


def test_off_is_off(world: World) -> None:
    answer = ask(world, behind(0.0), bound=0.0)
    assert answer is not None
    assert (answer.status, answer.stale_seconds) == (Status.NOT_READY, None)
    assert ask(world, orphan(0.0), bound=0.0) is None


def test_beyond_the_bound_nobody_answers(world: World) -> None:
    answer = ask(world, behind(BOUND + 0.1))
    assert answer is not None
    assert answer.status is Status.NOT_READY
    assert ask(world, orphan(BOUND + 0.1)) is None
    assert ask(world, orphan(inf)) is None


def test_a_copy_that_grows_too_old_while_the_request_waits_does_not_answer(world: World) -> None:
    answer = ask(world, behind(BOUND, BOUND + 0.1))
    assert answer is not None
    assert (answer.status, answer.stale_seconds) == (Status.NOT_READY, None)
    assert answer.positions is None


def test_who_names_a_moment_never_gets_an_older_one(world: World) -> None:
    moment = NotBefore(partition=PARTITION, offset=0)
    answer = ask(world, behind(0.5), not_before=moment)
    assert answer is not None
    assert (answer.status, answer.stale_seconds) == (Status.NOT_READY, None)
    assert ask(world, orphan(0.5), not_before=moment) is None


def test_another_s_partition_is_left_to_its_owner(world: World) -> None:
    assert ask(world, Ages(served=False, ages=[0.0])) is None


@pytest.mark.parametrize(
    ("late", "told"), [(0.0, None), (CURRENT_SECONDS, None), (CURRENT_SECONDS + 1, CURRENT_SECONDS + 1), (inf, None)]
)
@pytest.mark.parametrize("bound", [0.0, BOUND])
def test_an_owner_that_has_lost_touch_with_the_brokers_says_so(
    world: World, late: float, told: float | None, bound: float
) -> None:
    answer = ask(world, Copies(late=late), bound=bound)
    assert answer is not None
    assert (answer.status, answer.stale_seconds) == (Status.OK, told)


def test_an_explained_answer_says_it_too(world: World) -> None:
    world.behave(1, [2, 9, 4])
    answer = ask(world, behind(3.0), explain=True)
    assert answer is not None
    assert answer.explanation is not None
    assert answer.stale_seconds == 3.0
