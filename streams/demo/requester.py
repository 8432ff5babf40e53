"""Asks over the requests topic and reads the answers from the scores topic, as any client would.

Invariant: every request that was sent is either open or has exactly one first answer; a second answer to the same
request (a hand-over may cause one) is counted and dropped.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from msgspec import DecodeError

from muse_stream.streams.clients import open_consumer, open_producer
from muse_stream.streams.errors import DemoError
from muse_stream.streams.kafka.producer import Pending
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.answers import Answer, Status, decode_answer
from muse_stream.streams.wire.encode import encode_request
from muse_stream.streams.wire.ids import Id
from muse_stream.streams.wire.requests import RequestValue

POLL_MS = 200
POLL_RECORDS = 500
LOOK_SECONDS = 0.2
"""Who waits looks so often whether the broker has refused the request."""


@dataclass(slots=True)
class Asked:
    """One request on its way: when it was sent and, once `done` is set, its answer and when that was read (seconds).

    `pending` says whether the broker has the request, once it was handed to the producer.
    """

    request_id: str
    sent_seconds: float
    answer: Answer | None = None
    read_seconds: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)
    pending: Pending | None = None

    @property
    def scored(self) -> bool:
        """Whether it was answered with a result."""
        return self.answer is not None and self.answer.status is Status.OK

    @property
    def latency_ms(self) -> float:
        """From sending to having read the answer."""
        return (self.read_seconds - self.sent_seconds) * 1e3

    def wait(self, deadline: float) -> bool:
        """Wait for the answer until `deadline`, of `time.monotonic`; tells whether it came.

        Raises:
            DeliveryError: The broker does not have the request, so nobody will answer.

        """
        while not self.done.wait(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic()))):
            refusal = self.pending.exception() if self.pending and self.pending.done() else None
            if refusal is not None:
                raise refusal
            if time.monotonic() >= deadline:
                return False
        return True


class OpenRequests:
    """Requests without an answer yet, by id; thread-safe."""

    def __init__(self) -> None:
        self._prefix = uuid.uuid4().hex[:8]  # ids of two requesters on one cluster must not meet
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[str, Asked] = {}
        self.repeated = 0

    def add(self) -> Asked:
        """A request that is sent now, under an id of its own."""
        asked = Asked(f"{self._prefix}-{next(self._numbers)}", time.perf_counter())
        with self._lock:
            self._open[asked.request_id] = asked
        return asked

    def settle(self, value: bytes | None, now: float) -> None:
        """Take a record of the scores topic, read at `now` seconds; answers to others and anything else pass by."""
        try:
            answer = decode_answer(value or b"")
        except DecodeError:
            return
        request_id = answer.request_id or ""
        if not request_id.startswith(f"{self._prefix}-"):
            return
        with self._lock:
            asked = self._open.pop(request_id, None)
            if asked is None:
                self.repeated += 1
                return
        asked.answer, asked.read_seconds = answer, now
        asked.done.set()

    def give_up(self) -> None:
        """Wake all who wait: no answer will come."""
        with self._lock:
            for asked in self._open.values():
                asked.done.set()


class Requester:
    """A client with one producer and one reader thread; `ask` and `send` may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        """Connect and begin to read where the scores topic ends now. Raises `UnreachableError`."""
        self._topics = settings.topics
        self._open = OpenRequests()
        self._failure: Exception | None = None
        self._producer = open_producer(settings, client_id="muse-requester", linger_ms=0)
        self._consumer = open_consumer(settings, client_id="muse-requester")
        partitions = [(settings.topics.scores, number) for number in range(settings.topics.partitions)]
        self._consumer.assign(self._consumer.end_offsets(partitions))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="muse-requester", daemon=True)
        self._thread.start()

    def send(self, user: Id, candidates: Sequence[Id], **options: Any) -> Asked:  # noqa: ANN401 -- request fields
        """Send a request and return at once; `options` are further fields of the request. Raises `IdError`."""
        asked = self._open.add()
        request = RequestValue(request_id=asked.request_id, candidates=list(candidates), **options)
        key, value = encode_request(user, request)
        asked.pending = self._producer.send(self._topics.requests, key, value)
        return asked

    def ask(self, user: Id, candidates: Sequence[Id], *, wait_seconds: float = 30.0, **options: Any) -> Asked:  # noqa: ANN401
        """Send a request and wait for its answer.

        Raises:
            DeliveryError: The broker does not have the request.
            DemoError: No answer in time, or the answers can no longer be read.

        """
        asked = self.send(user, candidates, **options)
        self.wait([asked], wait_seconds)
        if asked.answer is None:
            message = (
                f"no answer to request {asked.request_id} within {wait_seconds:.0f} s; does a worker run? Look at its "
                f"/health/ready, or run: muse-stream check"
            )
            raise DemoError(message)
        return asked

    def wait(self, asked: Sequence[Asked], seconds: float) -> bool:
        """Wait until all are answered, at most so long; tells whether they are.

        Raises:
            DeliveryError: The broker does not have one of the requests.
            DemoError: The answers can no longer be read.

        """
        deadline = time.monotonic() + seconds
        done = all(one.wait(deadline) for one in asked)
        if self._failure is not None:
            message = f"the answers can no longer be read: {self._failure}"
            raise DemoError(message) from self._failure
        return done

    @property
    def repeated(self) -> int:
        """Answers that came a second time."""
        return self._open.repeated

    def close(self) -> None:
        """Stop reading and leave."""
        self._stopping.set()
        self._consumer.wakeup()
        self._thread.join()
        self._consumer.close()
        self._producer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        try:
            while not self._stopping.is_set():
                for batch in self._consumer.poll(POLL_RECORDS, POLL_MS):
                    now = time.perf_counter()
                    for value in batch.values:
                        self._open.settle(value, now)
        except Exception as error:
            self._failure = error
            self._open.give_up()
