"""Events are acknowledged after their answers, in log order, and an answer that cannot be sent is tried again."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from muse_stream.streams.records import Headers
from muse_stream.streams.serving.desk import Reply
from muse_stream.streams.tracing.context import TraceContext
from muse_stream.streams.tracing.tracing import Trace
from muse_stream.streams.wire.answers import Status, decode_answer
from muse_stream.streams.worker import requests
from muse_stream.streams.worker.requests import Requests


@dataclass
class Service:
    """Answers everything with the same body, or nothing."""

    reply: Reply | None
    counted: list[Reply] = field(default_factory=list)

    def traced(self, context: TraceContext | None) -> Trace:
        return Trace(context)

    async def answer(
        self,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        broker_time_ms: float,
        *,
        arrived: float,
        trace: Trace,
    ) -> Reply | None:
        return self.reply

    def answered(self, reply: Reply, trace: Trace) -> None:
        self.counted.append(reply)


@dataclass
class Topic:
    """Raises what it is told to, then accepts."""

    failures: list[Exception] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    headers: list[Headers | None] = field(default_factory=list)

    async def send(self, topic: str, key: bytes | None, value: bytes, headers: Headers | None) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(value)
        self.headers.append(headers)


@dataclass
class Event:
    """What Faust hands over."""

    partition: int = 0
    key: bytes = b"1"
    generation: int = 1
    headers: Headers | None = None
    acknowledged: int = 0

    @property
    def message(self) -> Any:
        return SimpleNamespace(
            key=self.key,
            value=b"{}",
            partition=self.partition,
            offset=7,
            timestamp=1.0,
            generation_id=self.generation,
            headers=self.headers,
        )

    def ack(self) -> None:
        self.acknowledged += 1


REPLY = Reply(status=Status.OK, body=b"x" * 100, request_id="r", user="1")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAUSE_FIRST_SECONDS", 0.0)


def taken(service: Service, topic: Topic, headers: Headers | None = None) -> Event:
    event = Event(headers=headers)

    async def scenario() -> None:
        subject = Requests(topic.send, service, "scores", lambda: 1)
        await subject.assigned(frozenset({0}))
        await subject.take(event)
        while subject._tasks:
            await asyncio.sleep(0)

    asyncio.run(scenario())
    return event


def test_acknowledged_once_the_broker_has_the_answer() -> None:
    service, topic = Service(REPLY), Topic()
    assert taken(service, topic).acknowledged == 1
    assert topic.sent == [REPLY.body]
    assert service.counted == [REPLY]


def test_an_answer_carries_the_trace_of_its_request_and_a_broken_one_costs_nothing() -> None:
    service, topic = Service(REPLY), Topic()
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    taken(service, topic, [("traceparent", parent.encode()), ("tracestate", b"rojo=1"), ("other", b"\xff")])
    taken(service, topic, [("traceparent", b"\xff\xfe"), ("tracestate", b"rojo=1")])
    taken(service, topic)
    assert topic.headers == [[("traceparent", parent.encode()), ("tracestate", b"rojo=1")], None, None]
    assert len(service.counted) == 3


def test_a_failed_request_is_named_in_the_log_by_place_and_trace(caplog: pytest.LogCaptureFixture) -> None:
    service, topic = Service(REPLY), Topic([RuntimeError("odd")])
    headers: Headers = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]
    assert taken(service, topic, headers).acknowledged == 0
    (record,) = caplog.records
    assert record.__dict__["fields"] == {"partition": 0, "offset": 7, "trace": "4bf92f3577b34da6a3ce929d0e0e4736"}


def test_a_partition_that_left_is_not_acknowledged() -> None:
    service, topic, event = Service(None), Topic(), Event()

    async def scenario() -> None:
        subject = Requests(topic.send, service, "scores", lambda: 1)
        await subject.assigned(frozenset({0}))
        await subject.take(event)
        await asyncio.sleep(0)
        await subject.suspended()
        while subject._tasks:
            await asyncio.sleep(0)

    asyncio.run(scenario())
    assert event.acknowledged == 0
    assert topic.sent == []


def test_who_has_no_answer_yet_is_asked_again_while_the_assignment_holds() -> None:
    service, topic, event = Service(None), Topic(), Event()

    async def scenario() -> None:
        subject = Requests(topic.send, service, "scores", lambda: 1)
        await subject.assigned(frozenset({0}))
        await subject.take(event)
        for _ in range(10):
            await asyncio.sleep(0)
        service.reply = REPLY
        while subject._tasks:
            await asyncio.sleep(0)

    asyncio.run(scenario())
    assert event.acknowledged == 1
    assert topic.sent == [REPLY.body]


@pytest.mark.parametrize(("generation", "answers"), [(1, 1), (0, 0)])
def test_an_event_before_the_word_of_its_assignment_is_kept_and_one_of_an_earlier_assignment_is_not(
    generation: int, answers: int
) -> None:
    service, topic, event = Service(REPLY), Topic(), Event()
    event.generation = generation

    async def scenario() -> None:
        subject = Requests(topic.send, service, "scores", lambda: 1)
        await subject.suspended()
        await subject.take(event)
        await subject.assigned(frozenset({0}))
        while subject._tasks:
            await asyncio.sleep(0)

    asyncio.run(scenario())
    assert event.acknowledged == answers
    assert len(topic.sent) == answers


def test_a_broker_that_is_away_is_tried_again() -> None:
    service, topic = Service(REPLY), Topic([KafkaConnectionError(), KafkaConnectionError()])
    assert taken(service, topic).acknowledged == 1
    assert topic.sent == [REPLY.body]


def test_trying_ends_with_the_assignment() -> None:
    service, event = Service(REPLY), Event()
    topic = Topic([KafkaConnectionError() for _ in range(1_000)])

    async def scenario() -> None:
        subject = Requests(topic.send, service, "scores", lambda: 1)
        await subject.assigned(frozenset({0}))
        await subject.take(event)
        while len(topic.failures) > 990:
            await asyncio.sleep(0)
        await subject.suspended()
        await subject.assigned(frozenset({0}))
        while subject._tasks:
            await asyncio.sleep(0)

    asyncio.run(scenario())
    assert event.acknowledged == 0
    assert topic.sent == []
    assert len(topic.failures) > 900
    assert service.counted == []


@dataclass
class Paused:
    """Answers a request when its key is let go."""

    gates: dict[bytes, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    counted: list[Reply] = field(default_factory=list)

    def traced(self, context: TraceContext | None) -> Trace:
        return Trace(context)

    async def answer(
        self,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        broker_time_ms: float,
        *,
        arrived: float,
        trace: Trace,
    ) -> Reply | None:
        await self.gates[key or b""].wait()
        return REPLY

    def answered(self, reply: Reply, trace: Trace) -> None:
        self.counted.append(reply)

    async def let_go(self, *keys: bytes) -> None:
        """Answer these, one after the other."""
        for key in keys:
            before = len(self.counted)
            self.gates[key].set()
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(self.counted) <= before + 1


def test_events_are_acknowledged_in_log_order_whatever_the_order_of_their_answers() -> None:
    service, topic = Paused(), Topic()
    first, second, third = (Event(key=key) for key in (b"1", b"2", b"3"))
    other = Event(partition=1, key=b"4")

    async def scenario() -> None:
        subject = Requests(topic.send, service, "scores", lambda: 1)
        await subject.assigned(frozenset({0, 1}))
        for event in (first, second, third, other):
            await subject.take(event)
        await service.let_go(b"2", b"3", b"4")
        assert len(topic.sent) == 3
        assert [event.acknowledged for event in (first, second, third, other)] == [0, 0, 0, 1]
        await service.let_go(b"1")

    asyncio.run(scenario())
    assert [event.acknowledged for event in (first, second, third, other)] == [1, 1, 1, 1]


def test_what_was_taken_under_an_earlier_assignment_is_neither_sent_nor_acknowledged() -> None:
    service, topic = Paused(), Topic()
    early, between, again, stranger = (Event(key=key) for key in (b"1", b"2", b"1", b"4"))
    stranger.partition, between.generation = 3, 0

    async def scenario() -> None:
        subject = Requests(topic.send, service, "scores", lambda: 1)
        await subject.assigned(frozenset({0}))
        await subject.take(early)
        await subject.suspended()
        await subject.take(between)
        await subject.assigned(frozenset({0}))
        await subject.take(again)
        await subject.take(stranger)
        await service.let_go(b"1", b"2", b"4")

    asyncio.run(scenario())
    assert [event.acknowledged for event in (early, between, again, stranger)] == [0, 0, 1, 0]
    assert len(topic.sent) == 1


def test_an_answer_above_the_topics_limit_is_replaced_by_one_that_says_so() -> None:
    service, topic = Service(REPLY), Topic([MessageSizeTooLargeError()])
    assert taken(service, topic).acknowledged == 1
    answer = decode_answer(topic.sent[0])
    assert (answer.request_id, answer.user, answer.status) == ("r", "1", Status.TOO_LARGE)
