"""A client of an installation: writes behaviours, items and users, asks, and keeps every answer that ever came."""

import itertools
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from muse_stream.streams.clients import open_consumer, open_producer
from muse_stream.streams.kafka.producer import Written
from muse_stream.streams.records import Headers
from muse_stream.streams.wire.answers import Answer, decode_answer
from muse_stream.streams.wire.encode import encode_behaviour, encode_request
from muse_stream.streams.wire.ids import Id
from muse_stream.streams.wire.requests import Candidate, RequestValue
from tests.streams.worker.installation import PATIENCE_SECONDS, Installation, until

TIME_MS = 1_700_000_000_000
"""Event time of the first behaviour; later ones follow by a millisecond."""


class Client:
    """One producer, one reader of the scores topic from its start; `close` it.

    Attributes:
        answers: All answers by request id, in the order in which they came; "" for those that name no request.

    """

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.topics = installation.topics
        self.producer = open_producer(installation.settings, linger_ms=0)
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.asked: list[str] = []
        self._numbers = itertools.count(1)
        self._times = itertools.count(TIME_MS)
        self._consumer = open_consumer(installation.settings)
        self._consumer.assign({(self.topics.scores, number): 0 for number in range(self.topics.partitions)})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="answers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._consumer.wakeup()
        self._thread.join()
        self._consumer.close()
        self.producer.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        while not self._stopping.is_set():
            for batch in self._consumer.poll(1_000, 200):
                for value in batch.values:
                    answer = decode_answer(value or b"")
                    self.answers[answer.request_id or ""].append(answer)

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> Written:
        """Write any record and wait until the broker has it."""
        pending = self.producer.send(topic, key, value, partition=partition, headers=headers)
        return pending.result(PATIENCE_SECONDS)

    def behave(self, user: Id, item: Id, action: Id = "click", *, time_ms: int | None = None, **more: Any) -> Written:
        """Write one behaviour and wait until the broker has it."""
        key, value = encode_behaviour(user, item, next(self._times) if time_ms is None else time_ms, action, **more)
        return self.put(self.topics.behaviours, key, value)

    def send(self, user: Id, candidates: Sequence[Id | Candidate], **options: Any) -> str:
        """Send a request; returns its id at once."""
        request_id = f"r{next(self._numbers)}"
        key, value = encode_request(user, RequestValue(request_id=request_id, candidates=list(candidates), **options))
        self.asked.append(request_id)
        self.producer.send(self.topics.requests, key, value)
        return request_id

    def ask(self, user: Id, candidates: Sequence[Id | Candidate], **options: Any) -> Answer:
        """Send a request and wait for its first answer."""
        return self.answer(self.send(user, candidates, **options))

    def answer(self, request_id: str) -> Answer:
        """Wait for the first answer to a request."""
        until(lambda: self.answers.get(request_id), f"an answer to {request_id}", *self.installation.workers)
        return self.answers[request_id][0]
