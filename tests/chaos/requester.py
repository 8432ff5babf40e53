"""Requests at a steady rate, and every answer that ever comes.

Invariant: an answer is kept with the broker's time of its record, in the order of its partition; a request counts as
asked only once the broker has acknowledged it.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.answers import Answer, decode_answer
from muse_stream.streams.wire.encode import encode_request
from muse_stream.streams.wire.ids import Id, is_reserved
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.requests import NotBefore, RequestValue
from tests.chaos.plan import ITEMS, REQUESTS_PER_SECOND, Plan
from tests.chaos.records import users
from tests.chaos.writer import Pace, Written

MALFORMED = 0.01
AFTER_OWN_WRITE = 0.5
"""Shares of the requests."""
DEADLINES_MS = (None, None, 1_500, 59_000)


@dataclass(slots=True)
class Asked:
    """One request.

    Attributes:
        request_id: Its id.
        user: Whose history.
        partition: Where it goes.
        k: Behaviours wanted per candidate.
        candidates: Items.
        want: What was asked for.
        not_before: The write that the answer must have seen.
        malformed: Whether it breaks the contract.
        acknowledged: When the broker had it, seconds of the monotonic clock; None: nobody knows whether it does.

    """

    request_id: str
    user: Id
    partition: int
    k: int
    candidates: list[Id]
    want: Any
    not_before: NotBefore | None
    malformed: bool
    acknowledged: float | None = None


class Got(NamedTuple):
    """An answer and the broker's time of it, in ms."""

    answer: Answer
    broker_ms: int


@dataclass
class Requester:
    """Asks in one thread and reads in another.

    Attributes:
        asked: By request id.
        answers: All answers by request id.
        answered_ms: Broker times of answers by the partition of their request.

    """

    settings: Settings
    plan: Plan
    written: Written
    asked: dict[str, Asked] = field(default_factory=dict)
    answers: dict[str, list[Got]] = field(default_factory=lambda: defaultdict(list))
    answered_ms: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._asking, self._reading = threading.Event(), threading.Event()
        works = (self._ask, self._read)
        self._threads = [threading.Thread(target=self._run, args=(work,), daemon=True) for work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop_asking(self) -> None:
        self._asking.set()
        self._threads[0].join()

    def stop(self) -> None:
        """Ask and read no more. Raises what ended one of the two."""
        self.stop_asking()
        self._reading.set()
        self._threads[1].join()
        if self.failure is not None:
            raise self.failure

    def open(self, until: float) -> list[str]:
        """Requests without an answer that the broker had at `until`, of the monotonic clock."""
        return [
            one.request_id
            for one in list(self.asked.values())
            if one.acknowledged is not None and one.acknowledged <= until and one.request_id not in self.answers
        ]

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.failure = error

    def _ask(self) -> None:
        dice, everybody = random.Random(f"{self.plan.seed}-requests"), users()
        pace, number = Pace(REQUESTS_PER_SECOND, self._asking), 0
        producer = KafkaProducer(
            bootstrap_servers=self.settings.kafka.brokers, acks="all", reconnect_backoff_max_ms=1_000
        )
        while not self._asking.is_set():
            for _ in range(pace.wait()):
                number += 1
                self._send(producer, self._draw(dice, everybody, f"r{number}"), dice)
        producer.flush(timeout=60)
        producer.close()

    def _draw(self, dice: random.Random, everybody: list[Id], request_id: str) -> Asked:
        places = list(self.written.recent)
        user, before = dice.choice(everybody), None
        if places and dice.random() < AFTER_OWN_WRITE:
            user, partition, offset = dice.choice(places)
            before = NotBefore(partition, offset)
        return Asked(
            request_id,
            user,
            partition_of_key(str(user).encode(), self.plan.partitions),
            k=dice.choice([1, 5, 50]),
            candidates=[dice.randint(1, ITEMS) for _ in range(dice.randint(1, 4))],
            want=dice.choice(["scores", "retrieved", "retrieved", "both"]),
            not_before=before,
            malformed=dice.random() < MALFORMED,
        )

    def _send(self, producer: Any, asked: Asked, dice: random.Random) -> None:
        value = RequestValue(
            request_id=asked.request_id,
            candidates=list(asked.candidates),
            k=0 if asked.malformed else asked.k,
            want=asked.want,
            not_before=asked.not_before,
            deadline_ms=dice.choice(DEADLINES_MS),
        )
        key, body = encode_request(asked.user, value)
        self.asked[asked.request_id] = asked

        def acknowledged(_: object) -> None:
            asked.acknowledged = time.monotonic()

        producer.send(self.settings.topics.requests, body, key).add_callback(acknowledged)

    def _read(self) -> None:
        consumer: Any = KafkaConsumer(
            bootstrap_servers=self.settings.kafka.brokers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            reconnect_backoff_max_ms=1_000,
            fetch_max_wait_ms=100,
        )
        topic = self.settings.topics.scores
        consumer.assign([TopicPartition(topic, number) for number in range(self.plan.partitions)])
        while not self._reading.is_set():
            try:
                found = consumer.poll(timeout_ms=200)
            except KafkaError:
                self._reading.wait(0.2)
                continue
            for records in found.values():
                for record in records:
                    self._take(record)
        consumer.close()

    def _take(self, record: Any) -> None:
        if is_reserved(record.key):  # the workers' own canaries
            return
        answer = decode_answer(record.value)
        name = answer.request_id or ""
        self.answers[name].append(Got(answer, record.timestamp))
        if (asked := self.asked.get(name)) is not None:
            self.answered_ms[asked.partition].append(record.timestamp)
