import queue
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from muse_stream.streams.errors import DeliveryError, IngestStoppedError
from muse_stream.streams.ingest.clients import KafkaLetterSink
from muse_stream.streams.kafka.producer import Written
from muse_stream.streams.wire.rejects import Reason, Reject, decode_dead_letter

PATIENCE_SECONDS = 20.0


@dataclass
class FakePending:
    state: str = "flying"

    def done(self) -> bool:
        return self.state != "flying"

    def exception(self) -> DeliveryError | None:
        return DeliveryError("refused") if self.state == "refused" else None

    def result(self, timeout: float | None = None) -> Written:
        raise NotImplementedError


@dataclass
class FakeProducer:
    """Keeps what it is given until told how it ended."""

    sent: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    pending: list[FakePending] = field(default_factory=list)
    blocked: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    broken: bool = False

    def send(self, topic: str, key: bytes, value: bytes) -> FakePending:
        self.blocked.wait(PATIENCE_SECONDS)
        if self.broken:
            message = "no metadata"
            raise DeliveryError(message)
        self.sent.append((topic, key, value))
        self.pending.append(FakePending())
        self.arrived.release()
        return self.pending[-1]

    def landed(self, *states: str) -> None:
        for _ in states:
            assert self.arrived.acquire(timeout=PATIENCE_SECONDS)
        for pending, state in zip(self.pending, states, strict=True):
            pending.state = state


def reject(offset: int) -> Reject:
    return Reject("behaviours", 3, offset, Reason.BAD_JSON, "found this, expected that", b"1", b"{", (), 7)


@pytest.fixture
def producer() -> FakeProducer:
    producer = FakeProducer()
    producer.blocked.set()
    return producer


@pytest.fixture
def sink(producer: FakeProducer) -> Any:
    sink = KafkaLetterSink(producer, "dead-letters")  # type: ignore[arg-type]
    yield sink
    producer.blocked.set()
    sink.close()


def test_a_batch_is_acknowledged_when_all_of_it_is(sink: KafkaLetterSink, producer: FakeProducer) -> None:
    answer = sink.send([reject(4), reject(5)])
    producer.landed("stored", "flying")
    assert not answer.done()
    producer.pending[1].state = "stored"
    answer.result(PATIENCE_SECONDS)
    assert [(topic, key) for topic, key, _ in producer.sent] == [
        ("dead-letters", b"behaviours:3:4"),
        ("dead-letters", b"behaviours:3:5"),
    ]
    assert decode_dead_letter(producer.sent[0][2]) == (reject(4), False)


def test_one_refusal_fails_the_batch_and_not_the_next(sink: KafkaLetterSink, producer: FakeProducer) -> None:
    first, second = sink.send([reject(4), reject(5)]), sink.send([reject(6)])
    producer.landed("flying", "refused", "stored")
    with pytest.raises(DeliveryError, match="refused"):
        first.result(PATIENCE_SECONDS)
    second.result(PATIENCE_SECONDS)


def test_letters_are_told_of_when_the_broker_has_them(producer: FakeProducer) -> None:
    told: queue.Queue[list[int]] = queue.Queue()
    sink = KafkaLetterSink(
        producer,  # type: ignore[arg-type]
        "dead-letters",
        lambda rejects: told.put([reject.offset for reject in rejects]),
    )
    first, second = sink.send([reject(4)]), sink.send([reject(5), reject(6)])
    producer.landed("refused", "stored", "stored")
    assert told.get(timeout=PATIENCE_SECONDS) == [5, 6]
    assert isinstance(first.exception(PATIENCE_SECONDS), DeliveryError)
    second.result(PATIENCE_SECONDS)
    sink.close()
    assert told.empty()


def test_what_the_client_does_not_take_fails_the_batch(sink: KafkaLetterSink, producer: FakeProducer) -> None:
    producer.broken = True
    with pytest.raises(DeliveryError, match="no metadata"):
        sink.send([reject(4)]).result(PATIENCE_SECONDS)


def test_sending_never_waits_for_the_client(sink: KafkaLetterSink, producer: FakeProducer) -> None:
    producer.blocked.clear()
    answer = sink.send([reject(4)])
    assert not answer.done()
    producer.blocked.set()
    producer.landed("stored")
    answer.result(PATIENCE_SECONDS)


def test_letters_still_flying_at_the_end_are_not_called_acknowledged(
    sink: KafkaLetterSink, producer: FakeProducer
) -> None:
    answer = sink.send([reject(4)])
    producer.landed("flying")
    sink.close()
    assert answer.cancelled()
    with pytest.raises(IngestStoppedError):
        sink.send([reject(5)]).result(PATIENCE_SECONDS)
