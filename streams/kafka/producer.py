"""Writing records: the small interface behind which the client drivers stand.

Invariant: a record whose `result` returned, or that was sent before a `flush` which returned, is acknowledged by all
in-sync replicas, once (idempotent producers). A record without an explicit partition goes where murmur2 of its key
says, with every driver: a user's behaviours and requests must meet on one partition.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from muse_stream.streams.errors import DeliveryError, DriverError
from muse_stream.streams.kafka.consumer import not_installed, unknown_driver
from muse_stream.streams.kafka.reach import CLIENT_ID, CONNECT_TIMEOUT_MS
from muse_stream.streams.kafka.security import Security
from muse_stream.streams.records import Headers


class Written(NamedTuple):
    """Where the broker put a record."""

    partition: int
    offset: int


class Pending(Protocol):
    """A record on its way."""

    def done(self) -> bool:
        """Tell whether the broker has answered, or the client has given up."""

    def exception(self) -> DeliveryError | None:
        """Return why it was not acknowledged, None if it was; to be asked once `done`."""

    def result(self, timeout: float | None = None) -> Written:
        """Wait for the acknowledgement, at most `timeout` seconds.

        Raises:
            DeliveryError: Not acknowledged in time, or refused.

        """


@dataclass(frozen=True, slots=True)
class ProducerOptions:
    """What a producer is built from.

    Attributes:
        bootstrap: `HOST:PORT`, several separated by commas.
        security: TLS and SASL settings.
        client_id: Name in the brokers' logs and metrics.
        connect_timeout_ms: How long the first answer of a broker may take.
        linger_ms: How long a record waits for company: what it adds to freshness against what it saves in requests.
        batch_bytes: Most bytes of one partition in one request. Keep it below the topics' `max.message.bytes`: when a
            broker refuses a batch, kafka-python splits it and can not flush any more.
        max_record_bytes: Largest record that is sent; the broker's own limit is the topic's `max.message.bytes`.
        delivery_timeout_ms: When an unacknowledged record becomes a `DeliveryError`.
        transactional_id: Gives the producer transactions (`begin`, `commit`, `abort`).

    """

    bootstrap: str
    security: Security = field(default_factory=Security)
    client_id: str = CLIENT_ID
    connect_timeout_ms: int = CONNECT_TIMEOUT_MS
    linger_ms: int = 5
    batch_bytes: int = 256 * 1024
    max_record_bytes: int = 2**20
    delivery_timeout_ms: int = 30_000
    transactional_id: str | None = None


class RecordProducer(Protocol):
    """A producer with `acks=all` and idempotence; thread-safe apart from the transaction calls."""

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Pending:
        """Send one record and return at once."""

    def send_many(
        self,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        *,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> None:
        """Send `[n]` records with the same headers; what goes wrong with them is raised by the next `flush`.

        Waits while the buffer is full, so that memory stays bounded.
        """

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything sent so far is acknowledged, at most `timeout` seconds.

        Raises:
            DeliveryError: Records are unacknowledged, or some of `send_many` were refused since the last flush.

        """

    def begin(self) -> None:
        """Begin a transaction (only with `transactional_id`)."""

    def commit(self) -> None:
        """Commit the transaction: flushes, then makes its records visible at once."""

    def abort(self) -> None:
        """Abort the transaction: its records stay in the log and are never visible to readers of committed records."""

    def close(self) -> None:
        """Flush what is on its way, for a bounded time, and leave."""


def make_producer(driver: str, options: ProducerOptions) -> RecordProducer:
    """Return a producer of the named driver (`consumer.DRIVERS`).

    Raises:
        DriverError: No such driver, or its package is not installed.
        UnreachableError: No broker answers.

    """
    if driver == "kafka-python":
        from muse_stream.streams.kafka.producer_python import PythonProducer  # noqa: PLC0415 - only the chosen one

        return PythonProducer(options)
    if driver == "confluent":
        try:
            from muse_stream.streams.kafka.producer_confluent import ConfluentProducer  # noqa: PLC0415
        except ImportError as error:
            raise DriverError(not_installed(error)) from error
        return ConfluentProducer(options)
    raise DriverError(unknown_driver(driver))


def refused_text(error: object, count: int = 1) -> str:
    """Return the text of an error about records that the broker did not acknowledge."""
    return (
        f"{count} record(s) not acknowledged: {error}. Check the broker, the topic's settings and the records' sizes."
    )
