"""Events are acknowledged after their answers, and an answer that cannot be sent is tried again."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from muse_stream.streams.serving.desk import Reply
from muse_stream.streams.wire.answers import Status, decode_answer
from muse_stream.streams.worker import requests
from muse_stream.streams.worker.requests import Requests


@dataclass
class Service:
    """Answers everything with the same body, or nothing."""

    reply: Reply | None
    ours: bool = True
    counted: list[Reply] = field(default_factory=list)

    async def answer(
        self, key: bytes | None, value: bytes | None, partition: int, broker_time_ms: float
    ) -> Reply | None:
        return self.reply

    def answered(self, reply: Reply, produce_seconds: float) -> None:
        self.counted.append(reply)

    def serves(self, partition: int) -> bool:
        return self.ours


@dataclass
class Topic:
    """Raises what it is told to, then accepts."""

    failures: list[Exception] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    async def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(value)


@dataclass
class Event:
    """What Faust hands over."""

    acknowledged: int = 0
    message: Any = field(default_factory=lambda: SimpleNamespace(key=b"1", value=b"{}", partition=0, timestamp=1.0))

    def ack(self) -> None:
        self.acknowledged += 1


REPLY = Reply(status=Status.OK, body=b"x" * 100, request_id="r", user="1")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAUSE_FIRST_SECONDS", 0.0)


def taken(service: Service, topic: Topic) -> Event:
    event = Event()

    async def scenario() -> None:
        subject = Requests(topic.send, service, "scores")
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


def test_a_partition_that_left_is_not_acknowledged() -> None:
    service, topic = Service(None), Topic()
    assert taken(service, topic).acknowledged == 0
    assert topic.sent == []


def test_a_broker_that_is_away_is_tried_again() -> None:
    service, topic = Service(REPLY), Topic([KafkaConnectionError(), KafkaConnectionError()])
    assert taken(service, topic).acknowledged == 1
    assert topic.sent == [REPLY.body]


def test_trying_ends_with_the_ownership() -> None:
    service, topic = Service(REPLY, ours=False), Topic()
    assert taken(service, topic).acknowledged == 0
    assert topic.sent == []
    assert service.counted == []


def test_an_answer_above_the_topics_limit_is_replaced_by_one_that_says_so() -> None:
    service, topic = Service(REPLY), Topic([MessageSizeTooLargeError()])
    assert taken(service, topic).acknowledged == 1
    answer = decode_answer(topic.sent[0])
    assert (answer.request_id, answer.user, answer.status) == ("r", "1", Status.TOO_LARGE)
