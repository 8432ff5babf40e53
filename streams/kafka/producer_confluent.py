"""The optional, faster producer: confluent-kafka (librdkafka).

Invariant: see `producer`. librdkafka's own default partitioner is CRC32, which puts a user's behaviours on another
partition than every Java, kafka-python or Faust client does: it is set to murmur2 here and can not be changed.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from muse_stream.streams.errors import DeliveryError, UnreachableError
from muse_stream.streams.kafka.calm_log import CalmLog
from muse_stream.streams.kafka.producer import ProducerOptions, Written, refused_text
from muse_stream.streams.kafka.reach import require_listener, unreachable
from muse_stream.streams.records import Headers

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 10.0
_FOREVER_SECONDS = 3600.0
_SERVE_SECONDS = 0.01  # another thread may take our acknowledgement from the queue: look again so soon


def _configuration(options: ProducerOptions) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        "bootstrap.servers": options.bootstrap,
        "client.id": options.client_id,
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": options.linger_ms,
        "batch.size": options.batch_bytes,
        "message.max.bytes": options.max_record_bytes,
        "delivery.timeout.ms": options.delivery_timeout_ms,
        "allow.auto.create.topics": False,
        "reconnect.backoff.max.ms": 1_000,
        **options.security.confluent(),
    }
    if options.transactional_id is not None:
        configuration["transactional.id"] = options.transactional_id
        configuration["transaction.timeout.ms"] = options.delivery_timeout_ms
    return configuration


class _Pending:
    def __init__(self, serve: Callable[[float], object]) -> None:
        self._serve = serve
        self._event = threading.Event()
        self._error: KafkaError | None = None
        self._written = Written(-1, -1)

    def resolve(self, error: KafkaError | None, message: Message) -> None:
        self._error = error
        self._written = Written(cast(int, message.partition()), cast(int, message.offset()))
        self._event.set()

    def done(self) -> bool:
        self._serve(0)
        return self._event.is_set()

    def exception(self) -> DeliveryError | None:
        return DeliveryError(refused_text(self._error)) if self._error else None

    def result(self, timeout: float | None = None) -> Written:
        deadline = time.monotonic() + (_FOREVER_SECONDS if timeout is None else timeout)
        while not self._event.is_set():
            if time.monotonic() > deadline:
                raise DeliveryError(refused_text(f"no answer within {timeout} s"))
            self._serve(_SERVE_SECONDS)
        if error := self.exception():
            raise error
        return self._written


class ConfluentProducer:
    """`RecordProducer` on confluent-kafka.

    Acknowledgements are taken from librdkafka's queue by whoever sends, asks or flushes: a thread of its own for it
    would fight for the GIL with the sender and cost most of the throughput.
    """

    def __init__(self, options: ProducerOptions) -> None:
        """Connect.

        Raises:
            UnreachableError: No broker answers.

        """
        self._lock = threading.Lock()
        self._refused: list[KafkaError] = []
        self._last_error: KafkaError | None = None
        require_listener(options.bootstrap, options.security, options.connect_timeout_ms)
        self._producer = Producer(_configuration(options) | {"error_cb": self._note}, logger=CalmLog(log))
        try:
            self._producer.list_topics(timeout=options.connect_timeout_ms / 1000)
            if options.transactional_id is not None:
                self._producer.init_transactions(options.connect_timeout_ms / 1000)
        except KafkaException as error:
            self._producer.poll(0)  # serves `_note`, which knows why
            reason = self._last_error or error
            raise UnreachableError(unreachable(options.bootstrap, options.security, reason)) from error

    def _note(self, error: KafkaError) -> None:
        self._last_error = error

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> _Pending:
        """Send one record."""
        self._producer.poll(0)
        pending = _Pending(self._producer.poll)
        more = _optional(headers, partition)
        if timestamp_ms is not None:
            more["timestamp"] = timestamp_ms
        self._produce(topic, key, value, more, pending.resolve)
        return pending

    def send_many(
        self,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        *,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> None:
        """Send many records."""
        more = _optional(headers, partition)
        for key, value in zip(keys, values, strict=True):
            self._produce(topic, key, value, more, self._take)

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        more: dict[str, Any],
        told: Callable[[KafkaError | None, Message], None],
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=told, **more)
            except BufferError:  # the queue is full: wait for acknowledgements, so that memory stays bounded
                self._producer.poll(_SERVE_SECONDS)
            except KafkaException as error:
                raise DeliveryError(refused_text(error)) from error
            else:
                return

    def _take(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            with self._lock:
                self._refused.append(error)

    def flush(self, timeout: float | None = None) -> None:
        """Wait for the acknowledgements."""
        left = self._producer.flush(_FOREVER_SECONDS if timeout is None else timeout)
        with self._lock:
            refused, self._refused = self._refused, []
        if refused or left:
            reason = refused[0] if refused else f"no answer within {timeout} s"
            raise DeliveryError(refused_text(reason, len(refused) + left))

    def begin(self) -> None:
        """Begin a transaction."""
        self._transact(self._producer.begin_transaction)

    def commit(self) -> None:
        """Commit the transaction."""
        self._transact(self._producer.commit_transaction)

    def abort(self) -> None:
        """Abort the transaction."""
        self._transact(self._producer.abort_transaction)

    def _transact(self, step: Callable[[], None]) -> None:
        try:
            step()
        except KafkaException as error:
            raise DeliveryError(refused_text(error)) from error

    def close(self) -> None:
        """Leave."""
        self._producer.flush(_CLOSE_SECONDS)


def _optional(headers: Headers | None, partition: int | None) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if headers:
        more["headers"] = headers
    if partition is not None:
        more["partition"] = partition
    return more
