"""The desk: every way in which a request can end, each with its defined answer."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from muse_stream.streams.serving.cost import SEED
from muse_stream.streams.serving.desk import Desk, Limits, Reply
from muse_stream.streams.serving.pipeline import Ask, Found, Parts, Pipeline
from muse_stream.streams.wire.answers import Answer, Status, decode_answer
from muse_stream.streams.wire.canary import canary_users
from muse_stream.streams.wire.encode import candidate_with, encode_request
from muse_stream.streams.wire.ids import Id
from muse_stream.streams.wire.requests import NotBefore, RequestValue
from tests.streams.serving.parts import PARTITION, World, rules

NOW_MS = 1_700_000_000_000.0
LIMITS = Limits(
    age_max_ms=60_000,
    deadline_default_ms=10_000,
    ready_wait_ms=50,
    answer_max_bytes=1_000_000,
    queue_max=100,
    pass_ms_max=20.0,
    batch_candidates_max=4_000,
    batch_window_ms=0.0,
)


@dataclass
class Copies:
    """Says what a test wants it to say."""

    served: bool = True
    caught_up: bool = True
    has_passed: bool = True
    left: bool = False
    late: float = 0.0
    noted: int = 0

    def note_request(self) -> None:
        self.noted += 1

    def serves(self, partition: int) -> bool:
        return self.served and partition == PARTITION

    def ready(self, partition: int) -> bool:
        return self.serves(partition) and self.caught_up

    def stands_in(self, partition: int) -> bool:
        return self.left

    def late_seconds(self, partition: int) -> float:
        return self.late

    async def passed(self, partition: int, offset: int, seconds: float) -> bool:
        return self.has_passed


def desk_of(
    world: World, copies: Copies | None = None, limits: Limits = LIMITS, has_model: Callable[[], bool] = lambda: True
) -> Desk:
    return Desk(
        world.pipeline(),
        copies or Copies(),
        rules(),
        limits,
        has_model=has_model,
        now_ms=lambda: NOW_MS,
    )


def reply_to(
    desk: Desk, key: bytes | None, value: bytes | None, *, age_ms: float = 0.0, partition: int = PARTITION
) -> Reply | None:
    async def scenario() -> Reply | None:
        desk.start()
        try:
            return await desk.answer(key, value, partition=partition, broker_time_ms=NOW_MS - age_ms)
        finally:
            await desk.stop()

    return asyncio.run(scenario())


def answer_to(desk: Desk, *, age_ms: float = 0.0, candidates: list[Any] | None = None, **options: Any) -> Answer:
    value = RequestValue(request_id="r-1", candidates=[9, 5] if candidates is None else candidates, **options)
    reply = reply_to(desk, *encode_request(1, value), age_ms=age_ms)
    assert reply is not None
    answer = decode_answer(reply.body)
    assert answer.status == reply.status
    assert (answer.request_id, answer.user) == ("r-1", "1")
    return answer


def test_a_full_answer_names_its_moment(world: World) -> None:
    world.behave(1, [2, 9, 4])
    answer = answer_to(desk_of(world), want="both", k=2, explain=True)
    assert answer.status is Status.OK
    assert answer.candidates == [9, 5]
    assert answer.scores is not None
    assert answer.retrieved is not None
    assert [len(found.item) for found in answer.retrieved] == [2, 2]
    assert answer.retrieved[0].item[0] == 9
    assert answer.retrieved[0].time_ms[0] == 2_000
    assert answer.retrieved[0].action[0] == 4
    assert answer.retrieved[0].position[0] == 1
    assert answer.retrieved[0].cosine[0] == pytest.approx(1.0, abs=1e-6)
    assert answer.positions is not None
    assert (answer.positions.behaviours.partition, answer.positions.behaviours.offset) == (PARTITION, 3)
    assert (answer.positions.users, answer.positions.items) == (1, 7)
    assert answer.window is not None
    assert (answer.window.start, answer.window.stop) == (0, 3)
    assert answer.model is not None
    assert world.scorer is not None
    assert answer.model.digest == world.scorer.digest
    assert (answer.space, answer.history_length, answer.watermark_ms) == ("v1", 3, 5_000_000)
    assert {"decode", "queue", "state_read", "gsu", "features", "esu"} <= set(answer.stages_ms)
    assert answer.explanation is not None
    assert [len(one.tier) for one in answer.explanation.candidates] == [3, 3], "what the score was computed from"
    assert [len(one.recent_tier) for one in answer.explanation.candidates] == [3, 3]


def test_scores_alone_and_retrieved_alone(world: World) -> None:
    world.behave(1, [2, 9, 4])
    scores, retrieved = answer_to(desk_of(world)), answer_to(desk_of(world), want="retrieved")
    assert scores.retrieved is None
    assert scores.scores is not None
    assert retrieved.scores is None
    assert retrieved.retrieved is not None
    assert retrieved.model is None


def test_prefetch(world: World) -> None:
    world.behave(1, [2])
    assert answer_to(desk_of(world), candidates=[], prefetch=True).status is Status.PREFETCHED


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        (b"{", Status.MALFORMED, "bad_json"),
        (b'{"request_id":"r","candidates":[]}', Status.MALFORMED, None),
        (b'{"request_id":"r","candidates":[1],"k":0}', Status.MALFORMED, None),
        (b'{"request_id":"r","candidates":' + str(list(range(1, 2_002))).encode() + b"}", Status.TOO_LARGE, None),
        (None, Status.MALFORMED, None),
    ],
)
def test_a_request_that_breaks_the_contract(
    world: World, value: bytes | None, status: Status, code: str | None
) -> None:
    reply = reply_to(desk_of(world), b"1", value)
    assert reply is not None
    answer = decode_answer(reply.body)
    assert answer.status is status
    assert answer.error is not None
    assert answer.error.message
    assert code is None or answer.error.code == code


@pytest.mark.parametrize(("age_ms", "deadline_ms"), [(10_000, None), (60_000, 70_000), (200, 100)])
def test_an_old_request_is_expired(world: World, age_ms: float, deadline_ms: int | None) -> None:
    answer = answer_to(desk_of(world), age_ms=age_ms, deadline_ms=deadline_ms)
    assert answer.status is Status.EXPIRED


def test_a_copy_that_is_behind_is_waited_for_then_not_ready(world: World) -> None:
    answer = answer_to(desk_of(world, Copies(caught_up=False)))
    assert answer.status is Status.NOT_READY
    assert answer.error is not None
    assert answer.error.code == "catching_up"


def test_a_partition_that_left_is_left_to_its_next_owner(world: World) -> None:
    request = encode_request(1, RequestValue(request_id="r", candidates=[9]))
    assert reply_to(desk_of(world, Copies(served=False)), *request) is None
    world.gone.add(PARTITION)
    assert reply_to(desk_of(world), *request) is None


def test_not_before(world: World) -> None:
    position = NotBefore(partition=PARTITION, offset=3)
    assert answer_to(desk_of(world), not_before=position).status is Status.OK
    late = answer_to(desk_of(world, Copies(has_passed=False)), not_before=position)
    assert late.status is Status.NOT_READY
    assert late.error is not None
    assert late.error.code == "not_before"
    elsewhere = answer_to(desk_of(world), not_before=NotBefore(partition=4, offset=3))
    assert elsewhere.status is Status.MALFORMED


def test_an_answer_above_the_limit(world: World) -> None:
    world.behave(1, [2, 9, 4] * 20)
    answer = answer_to(desk_of(world, limits=replace(LIMITS, answer_max_bytes=500)), want="both")
    assert answer.status is Status.TOO_LARGE
    assert answer.error is not None
    assert answer.error.code == "answer_too_large"


def test_no_model(world: World) -> None:
    answer = answer_to(desk_of(world, has_model=lambda: False))
    assert answer.status is Status.NOT_READY
    assert answer_to(desk_of(world, has_model=lambda: False), want="retrieved").status is Status.OK


def test_vectors_of_another_space_are_refused(world: World) -> None:
    own = candidate_with(500, world.table.lookup(np.array([4]))[0][0])
    world.table.space = "v2"
    answer = answer_to(desk_of(world), candidates=[own])
    assert answer.status is Status.MALFORMED
    assert answer.error is not None
    assert answer.error.code == "unknown_space"


def test_a_full_queue_is_answered_at_once(world: World) -> None:
    answer = answer_to(desk_of(world, limits=replace(LIMITS, queue_max=0)))
    assert answer.status is Status.OVERLOAD


def test_a_fault_of_ours_is_an_answer_too(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.store.close()
    answer = answer_to(desk_of(world))
    assert answer.status is Status.ERROR
    assert "a read failed" in caplog.text


@dataclass
class Counted:
    """What the desk told monitoring."""

    passes: list[tuple[int, float, float]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)

    def passed(self, requests: int, seconds: float, predicted_seconds: float) -> None:
        self.passes.append((requests, seconds, predicted_seconds))

    def shed(self, reason: str) -> None:
        self.reasons.append(reason)

    def overdue(self, stage: str) -> None:
        self.stages.append(stage)


class Held(Pipeline):
    """A pipeline whose passes end when the test lets them."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.gate = threading.Event()

    def __call__(self, asks: Sequence[Ask]) -> list[Found | Exception]:
        answers = super().__call__(asks)
        self.gate.wait(10)
        return answers


def behind(
    world: World,
    *requests: RequestValue,
    held_ms: float = 0.0,
    first_deadline_ms: int | None = None,
    **limits: Any,
) -> tuple[list[Answer], Counted]:
    """Answers to requests that come while a pass of a second's prediction is in flight, and what was counted."""
    pipeline, counted = Held(world.parts()), Counted()
    desk = Desk(
        pipeline,
        Copies(),
        rules(),
        replace(LIMITS, **limits),
        has_model=lambda: True,
        watch=counted,
        now_ms=lambda: NOW_MS,
    )
    desk.costs.begin(SEED._replace(find=SEED.find._replace(passes=1_000.0)))

    async def scenario() -> list[Reply | None]:
        desk.start()
        replies = []
        first = RequestValue(request_id="first", candidates=[9], deadline_ms=first_deadline_ms)
        for value in (first, *requests):
            pair = encode_request(1, value)
            reply = desk.answer(*pair, partition=PARTITION, broker_time_ms=NOW_MS)
            replies.append(asyncio.create_task(reply))
            for _ in range(5):
                await asyncio.sleep(0)
        await asyncio.sleep(held_ms / 1e3)
        pipeline.gate.set()
        found = await asyncio.gather(*replies)
        await desk.stop()
        return found

    replies = asyncio.run(scenario())
    assert len(replies) == 1 + len(requests)
    return [decode_answer(reply.body) for reply in replies[1:] if reply], counted


def test_who_would_be_late_is_answered_at_once(world: World) -> None:
    hurried = RequestValue(request_id="hurried", candidates=[9], deadline_ms=500)
    (answer,), counted = behind(world, hurried)
    assert answer.status is Status.OVERLOAD
    assert answer.error is not None
    assert answer.error.code == "overload"
    assert answer.error.retry_after_ms is not None
    assert 0 < answer.error.retry_after_ms <= 510
    assert "its turn would come in" in answer.error.message
    assert counted.reasons == ["predicted_late"]
    assert [requests for requests, _, _ in counted.passes] == [1]


def test_who_has_time_waits(world: World) -> None:
    (answer,), counted = behind(world, RequestValue(request_id="patient", candidates=[9]))
    assert answer.status is Status.OK
    assert (counted.reasons, counted.stages) == ([], [])
    assert [requests for requests, _, _ in counted.passes] == [1, 1]
    assert all(predicted >= 0.5 for _, _, predicted in counted.passes)


def test_a_prefetch_that_would_wait_is_shed_first(world: World) -> None:
    prefetch = RequestValue(request_id="prefetch", candidates=[], prefetch=True)
    (answer, other), counted = behind(world, prefetch, RequestValue(request_id="r", candidates=[9]))
    assert (answer.status, other.status) == (Status.OVERLOAD, Status.OK)
    assert counted.reasons == ["prefetch"]


def test_who_waits_beyond_a_wrong_prediction_expires(world: World) -> None:
    short = RequestValue(request_id="short", candidates=[9], deadline_ms=1_050)
    (answer,), counted = behind(world, short, held_ms=1_100)
    assert answer.status is Status.EXPIRED
    assert counted.reasons == ["expired"]
    assert counted.stages == ["queue"]


def test_a_full_queue_is_counted(world: World) -> None:
    (answer, other), counted = behind(
        world, *(RequestValue(request_id=name, candidates=[9]) for name in ("waits", "too many")), queue_max=1
    )
    assert (answer.status, other.status) == (Status.OK, Status.OVERLOAD)
    assert other.error is not None
    assert other.error.retry_after_ms is not None
    assert counted.reasons == ["queue_full"]


def test_a_deadline_that_passed_before_is_counted(world: World) -> None:
    counted = Counted()
    desk = Desk(
        world.pipeline(), Copies(), rules(), LIMITS, has_model=lambda: True, watch=counted, now_ms=lambda: NOW_MS
    )
    assert answer_to(desk, age_ms=20_000).status is Status.EXPIRED
    assert counted.stages == ["arrival"]


def test_a_deadline_that_passes_in_the_pass_is_counted_and_answered_all_the_same(world: World) -> None:
    _, counted = behind(world, first_deadline_ms=60, held_ms=100)
    assert (counted.reasons, counted.stages) == ([], ["answer"])
    assert len(counted.passes) == 1


def test_the_canary_is_answered_and_counted_by_nobody(world: World) -> None:
    (user,) = canary_users(1)
    counted, copies = Counted(), Copies()
    limits = replace(LIMITS, features_share=1.0)

    def status(who: Id, age_ms: float) -> Answer:
        desk = Desk(
            world.pipeline(), copies, rules(), limits, has_model=lambda: True, watch=counted, now_ms=lambda: NOW_MS
        )
        reply = reply_to(desk, *encode_request(who, RequestValue(request_id="r", candidates=[9])), age_ms=age_ms)
        assert reply is not None
        return decode_answer(reply.body)

    canary = status(user, 0.0)
    assert (canary.status, canary.user, canary.features) == (Status.OK, user, None)
    assert status(user, 20_000.0).status is Status.EXPIRED
    assert (counted, copies.noted) == (Counted(), 0)
    assert status(1, 0.0).features is not None
    assert (len(counted.passes), copies.noted) == (1, 1)
