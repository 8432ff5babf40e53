"""The default producer: kafka-python, pure Python, murmur2 by default.

Invariant: see `producer`.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence

from kafka import KafkaProducer
from kafka.errors import KafkaError as ClientError
from kafka.producer.future import FutureRecordMetadata

from muse_stream.streams.errors import DeliveryError
from muse_stream.streams.kafka.producer import ProducerOptions, Written, refused_text
from muse_stream.streams.kafka.python_client import connecting
from muse_stream.streams.records import Headers

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 10.0


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise DeliveryError(refused_text(error)) from error


class _Pending:
    def __init__(self, future: FutureRecordMetadata) -> None:
        self._future = future

    def done(self) -> bool:
        return bool(self._future.is_done)

    def exception(self) -> DeliveryError | None:
        error = self._future.exception
        return DeliveryError(refused_text(error)) if error else None

    def result(self, timeout: float | None = None) -> Written:
        with _told():
            where = self._future.get(timeout)
        return Written(where.partition, where.offset)


class PythonProducer:
    """`RecordProducer` on kafka-python."""

    def __init__(self, options: ProducerOptions) -> None:
        """Connect.

        Raises:
            UnreachableError: No broker answers.

        """
        self._lock = threading.Lock()
        self._refused: list[BaseException] = []
        given = (options.bootstrap, options.security, options.client_id, options.connect_timeout_ms)
        with connecting(*given) as shared:
            self._producer = KafkaProducer(
                acks="all",
                enable_idempotence=True,
                linger_ms=options.linger_ms,
                batch_size=options.batch_bytes,
                max_request_size=options.max_record_bytes,
                delivery_timeout_ms=options.delivery_timeout_ms,
                request_timeout_ms=min(30_000, max(1, options.delivery_timeout_ms - options.linger_ms)),
                transactional_id=options.transactional_id,
                allow_auto_create_topics=False,
                metrics_enabled=False,
                **shared,
            )
            if options.transactional_id is not None:
                self._producer.init_transactions()

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
        with _told():
            return _Pending(self._producer.send(topic, value, key, headers, partition, timestamp_ms))

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
        with _told():
            for key, value in zip(keys, values, strict=True):
                self._producer.send(topic, value, key, headers, partition).add_errback(self._note)

    def _note(self, error: BaseException) -> None:
        with self._lock:
            self._refused.append(error)

    def flush(self, timeout: float | None = None) -> None:
        """Wait for the acknowledgements."""
        with _told():
            self._producer.flush(timeout)
        with self._lock:
            refused, self._refused = self._refused, []
        if refused:
            raise DeliveryError(refused_text(refused[0], len(refused)))

    def begin(self) -> None:
        """Begin a transaction."""
        with _told():
            self._producer.begin_transaction()

    def commit(self) -> None:
        """Commit the transaction."""
        with _told():
            self._producer.commit_transaction()

    def abort(self) -> None:
        """Abort the transaction."""
        with _told():
            self._producer.abort_transaction()

    def close(self) -> None:
        """Leave; what no broker has acknowledged by then is given up, and never holds up an exit."""
        try:
            self._producer.close(timeout=_CLOSE_SECONDS)
        except ClientError as error:
            log.warning("closing a producer although not everything was acknowledged: %s", refused_text(error))
