"""The canary against a log of the test's own: what it sends, what it takes for an answer, what a fault costs."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from muse_stream.monitoring import Canaries, Metrics
from muse_stream.streams.serving.desk import Reply
from muse_stream.streams.settings.sections import TopicSettings
from muse_stream.streams.wire.answers import Answer, PartitionOffset, Positions, Retrieved, Status, encode_answer
from muse_stream.streams.wire.canary import canary_users
from muse_stream.streams.wire.features import Behaviours
from muse_stream.streams.worker import canary as module
from muse_stream.streams.worker.canary import Bounds, Canary

TOPICS = TopicSettings(partitions=2)
ITEM = 17


@dataclass
class Log:
    """Takes records, or raises what it is told to."""

    records: list[tuple[str, bytes, Any]] = field(default_factory=list)
    failure: Exception | None = None

    async def send(self, topic: str, key: bytes, value: bytes | None) -> Any:
        if self.failure is not None:
            raise self.failure
        self.records.append((topic, key, None if value is None else json.loads(value)))
        return SimpleNamespace(offset=len(self.records) - 1)

    def of(self, topic: str) -> list[Any]:
        return [value for name, _, value in self.records if name == topic]


@dataclass
class Items:
    item: int = ITEM
    lost: bool = False

    def any_item(self) -> int:
        return self.item

    def has_vector(self, item: int) -> bool:
        return not self.lost


class World:
    def __init__(self) -> None:
        self.now, self.log, self.items, self.ready = 0.0, Log(), Items(), True
        self.metrics = Metrics(reasons=[], outcomes=[], version="1")
        figures = Canaries(self.metrics.canary, interval_seconds=5, timeout_seconds=10, clock=lambda: self.now)
        self.canary = Canary(self.log.send, TOPICS, figures, self.items, lambda partition: self.ready, Bounds(5, 10))

    async def tick(self, seconds: float = 5.0) -> None:
        """Let time pass and everything that follows from it happen."""
        self.now += seconds
        self.canary._begin_due()
        await self.settle()

    async def settle(self) -> None:
        while self.canary._tasks:
            await asyncio.gather(*self.canary._tasks)

    async def answer(self, **changed: Any) -> None:
        """Answer the latest request as the worker would; `changed` are fields of the answer."""
        request = self.log.of(TOPICS.requests)[-1]
        behaviour = self.log.of(TOPICS.behaviours)[-1]
        columns = [behaviour["item"]], [behaviour["time_ms"]], [behaviour["action"]]
        usual: dict[str, Any] = {
            "request_id": request["request_id"],
            "user": canary_users(2)[0],
            "status": Status.OK,
            "retrieved": [Retrieved(*columns, [0], [1.0])],
            "positions": Positions(PartitionOffset(0, 10), 0, 0),
        }
        answer = Answer(**{**usual, **changed})
        body = encode_answer(answer)
        self.canary.answered(Reply(answer.status, body, request_id=answer.request_id or "", user=answer.user or ""))
        await self.settle()

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"muse_canary_{name}_total", labels)


def in_world(scenario: Callable[[World], Awaitable[None]]) -> World:
    world = World()

    async def run() -> None:
        await world.canary.assigned(frozenset({0}))
        await scenario(world)

    asyncio.run(run())
    return world


def test_a_round_erases_behaves_and_asks_for_what_the_broker_has() -> None:
    world = in_world(lambda world: world.tick())
    key = canary_users(2)[0].encode()
    assert [(topic, found) for topic, found, _ in world.log.records] == [
        (TOPICS.behaviours, key),
        (TOPICS.behaviours, key),
        (TOPICS.requests, key),
    ]
    erased, behaviour, request = (value for _, _, value in world.log.records)
    assert erased is None
    assert (behaviour["item"], request["candidates"], request["want"]) == (ITEM, [ITEM], "retrieved")
    assert request["not_before"] == {"partition": 0, "offset": 1}
    assert request["deadline_ms"] < 10_000


def test_an_answer_with_the_behaviour_is_seen() -> None:
    async def scenario(world: World) -> None:
        await world.tick()
        await world.answer()

    world = in_world(scenario)
    assert (world.count("sent"), world.count("seen")) == (1, 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"retrieved": [Retrieved([ITEM], [1], [0], [0], [1.0])]}, "absent"),
        ({"retrieved": [Retrieved([], [], [], [], [])]}, "absent"),
        ({"retrieved": None}, "absent"),
        ({"status": Status.NOT_READY}, "not_ready"),
        ({"status": Status.OVERLOAD}, "overload"),
        ({"status": Status.EXPIRED}, "expired"),
        ({"status": Status.MALFORMED}, "error"),
        ({"status": Status.ERROR}, "error"),
    ],
)
def test_other_answers_are_missed_for_a_reason(changed: dict[str, Any], reason: str) -> None:
    async def scenario(world: World) -> None:
        await world.tick()
        await world.answer(**changed)

    world = in_world(scenario)
    assert (world.count("seen"), world.count("missed", reason=reason)) == (0, 1)


@pytest.mark.parametrize("changed", [{"request_id": "r1"}, {"user": canary_users(2)[1]}, {"user": "17"}])
def test_answers_to_others_are_nothing_to_it(changed: dict[str, Any]) -> None:
    async def scenario(world: World) -> None:
        await world.tick()
        await world.answer(**changed)
        await world.answer()

    assert in_world(scenario).count("seen") == 1


def test_an_answer_that_is_no_answer_is_an_error_and_reaches_nobody() -> None:
    async def scenario(world: World) -> None:
        await world.tick()
        request = world.log.of(TOPICS.requests)[-1]
        world.canary.answered(Reply(Status.OK, b"{", request_id=request["request_id"], user=canary_users(2)[0]))
        await world.settle()

    assert in_world(scenario).count("missed", reason="error") == 1


def test_without_vectors_it_is_looked_for_among_the_newest_behaviours() -> None:
    async def scenario(world: World) -> None:
        world.items.item = 0
        await world.tick()
        request, behaviour = world.log.of(TOPICS.requests)[-1], world.log.of(TOPICS.behaviours)[-1]
        assert request["explain"] is True
        assert behaviour["item"] == module.UNKNOWN_ITEM
        told = Behaviours([0], [behaviour["item"]], [0], [behaviour["time_ms"]], [0])
        await world.answer(retrieved=[Retrieved([], [], [], [], [])], behaviours=told)
        await world.tick()
        await world.answer(retrieved=None, behaviours=None)

    world = in_world(scenario)
    assert (world.count("seen"), world.count("missed", reason="absent")) == (1, 1)


def test_an_item_that_lost_its_vector_meanwhile_proves_nothing() -> None:
    async def scenario(world: World) -> None:
        await world.tick()
        world.items.lost = True
        await world.answer(retrieved=[Retrieved([], [], [], [], [])])

    world = in_world(scenario)
    assert (world.count("sent"), world.count("seen"), world.count("missed", reason="absent")) == (1, 0, 0)


def test_its_history_stays_short() -> None:
    async def scenario(world: World) -> None:
        for _ in range(3 * module.ERASE_EVERY):
            await world.tick()
            await world.answer()

    world = in_world(scenario)
    lengths, length = [], 0
    for value in world.log.of(TOPICS.behaviours):
        length = 0 if value is None else length + 1
        lengths.append(length)
    assert lengths.count(0) == 3
    assert max(lengths) == module.ERASE_EVERY <= module.K


def test_brokers_that_are_away_are_a_reason_and_no_fault() -> None:
    async def scenario(world: World) -> None:
        world.log.failure = KafkaConnectionError()
        for _ in range(3):
            await world.tick()
        world.log.failure = None
        await world.tick()
        await world.answer()

    world = in_world(scenario)
    assert (world.count("missed", reason="not_taken"), world.count("seen")) == (3, 1)


def test_a_broker_that_never_acknowledges_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        async def send(topic: str, key: bytes, value: bytes | None) -> Any:
            await asyncio.Event().wait()

        monkeypatch.setattr(world.canary, "_send", send)
        monkeypatch.setattr(world.canary, "_bounds", Bounds(5, 0.01))
        await world.tick()

    assert in_world(scenario).count("missed", reason="not_taken") == 1


def test_a_fault_of_its_own_is_counted_and_stays_here() -> None:
    async def scenario(world: World) -> None:
        world.log.failure = ZeroDivisionError()
        await world.tick()

    assert in_world(scenario).count("missed", reason="error") == 1


def test_the_loop_survives_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Iterator[Any] = iter([ZeroDivisionError(), None, None])

    async def scenario(world: World) -> None:
        def begin_due() -> None:
            if (fault := next(calls, None)) is not None:
                raise fault
            seen.set()

        seen = asyncio.Event()
        monkeypatch.setattr(world.canary, "_begin_due", begin_due)
        monkeypatch.setattr(module, "LOOK_MAX_SECONDS", 0.0)
        monkeypatch.setattr(module, "LOOK_MIN_SECONDS", 0.0)
        world.canary.start()
        await asyncio.wait_for(seen.wait(), 10)
        world.canary.close()

    in_world(scenario)


def test_nothing_is_sent_for_a_copy_that_may_not_answer() -> None:
    async def scenario(world: World) -> None:
        world.ready = False
        await world.tick()

    assert in_world(scenario).log.records == []


def test_a_partition_that_left_takes_its_canary_along() -> None:
    async def scenario(world: World) -> None:
        await world.tick()
        await world.canary.suspended()
        await world.canary.assigned(frozenset({1}))
        await world.answer()

    world = in_world(scenario)
    assert (world.count("sent"), world.count("seen")) == (1, 0)


def test_a_partition_that_stays_through_a_rebalance_keeps_its_canary() -> None:
    async def scenario(world: World) -> None:
        await world.tick()
        await world.canary.suspended()
        await world.canary.assigned(frozenset({0, 1}))
        await world.answer()

    assert in_world(scenario).count("seen") == 1


def test_a_partition_that_comes_back_asks_under_other_names() -> None:
    async def scenario(world: World) -> None:
        await world.tick()
        await world.answer()
        for partition in (1, 0):
            await world.canary.assigned(frozenset({partition}))
            await world.tick()

    names = [request["request_id"] for request in in_world(scenario).log.of(TOPICS.requests)]
    assert len(names) == len(set(names)) == 3
