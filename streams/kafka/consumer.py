"""Reading topics in batches by manual assignment: the small interface behind which the two client drivers stand.

Invariant: under one assignment, the batches of a partition, put end to end, are exactly the visible records of the log
from the assigned offset on, each once, in order; records of aborted transactions are never visible. Both drivers give
the same rows for the same log; only where one batch ends and the next begins differs.

Positions are the caller's: nothing is read from or reset by Kafka's own offsets. A position outside the log is a
`PositionError`, never a jump.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from muse_stream.streams.errors import DriverError, PositionError
from muse_stream.streams.kafka.reach import CLIENT_ID, CONNECT_TIMEOUT_MS
from muse_stream.streams.kafka.security import Security
from muse_stream.streams.records import RecordBatch

Partition = tuple[str, int]
Driver = Literal["kafka-python", "confluent"]
DRIVERS: tuple[Driver, ...] = ("kafka-python", "confluent")


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """What a consumer is built from.

    Attributes:
        bootstrap: `HOST:PORT`, several separated by commas.
        group: Group under which `commit` leaves its information; None: `commit` does nothing. Give it a group of its
            own: a group that has members (Faust's) refuses commits of manual assignments.
        security: TLS and SASL settings.
        client_id: Name in the brokers' logs and metrics.
        connect_timeout_ms: How long the first answer of a broker may take.
        fetch_min_bytes: A broker answers a fetch when it has so much, with all that it has, or after
            `fetch_max_wait_ms`; so a reader that is behind gets full batches at once, whatever is set here. 8 KB
            are about 130 small records; a megabyte would never come in time, and less costs kafka-python more of a
            core in smaller fetches.
        fetch_max_wait_ms: The longest a record waits at the broker for others. After a fetch that brought nothing,
            kafka-python is told to wait longer, but for a single record: rare ones come at once, and rest costs little.
        max_partition_fetch_bytes: Bytes of one partition in one fetch: about 20 000 small records. It bounds memory
            (partitions times this), not record size: a larger record is still delivered, alone.

    """

    bootstrap: str
    group: str | None = None
    security: Security = field(default_factory=Security)
    client_id: str = CLIENT_ID
    connect_timeout_ms: int = CONNECT_TIMEOUT_MS
    fetch_min_bytes: int = 8 * 1024
    fetch_max_wait_ms: int = 20
    max_partition_fetch_bytes: int = 2 * 2**20


class BatchConsumer(Protocol):
    """A `read_committed` consumer of manually assigned partitions.

    Used by one thread at a time; only `wakeup` may be called from any thread.
    """

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Replace the assignment: read exactly these partitions, each from its offset.

        A partition that stays and whose offset is its position goes on undisturbed; it is resumed if it was paused.
        """

    def seek(self, partition: Partition, offset: int) -> None:
        """Read an assigned partition from `offset` on."""

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """Return what has arrived, at most `max_records` rows in all and one batch per partition.

        Returns as soon as anything is there; the empty list after `timeout_ms` or after `wakeup`. A batch may have no
        rows: then the position moved past what is not visible (the end of an aborted transaction), and `next_offset`
        says to where.

        Raises:
            PositionError: An assigned offset is below the start or above the end of its log.
            UnreachableError: The brokers refuse us. (Brokers that are merely away are waited for.)

        """

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these partitions until `resume`; their positions stay."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """End `pause`."""

    def positions(self) -> dict[Partition, int]:
        """Return the next offset of each assigned partition; everything below it was delivered or is not visible."""

    def beginning_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask the brokers for the first offset of each log."""

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask the brokers for the last stable offsets: what a reader of committed records can reach now."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Leave positions with Kafka as information for lag tools; does not wait, and a failure has no effect."""

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask the brokers for what `commit` left (by any member of the group); partitions without are left out."""

    def wakeup(self) -> None:
        """Make the `poll` that is waiting, or else the next one, return at once; callable from any thread."""

    def close(self) -> None:
        """Leave; positions are not kept."""


def make_consumer(driver: str, options: ConsumerOptions) -> BatchConsumer:
    """Return a consumer of the named driver.

    Raises:
        DriverError: No such driver, or its package is not installed.
        UnreachableError: No broker answers.

    """
    if driver == "kafka-python":
        from muse_stream.streams.kafka.consumer_python import PythonConsumer  # noqa: PLC0415 - only the chosen one

        return PythonConsumer(options)
    if driver == "confluent":
        try:
            from muse_stream.streams.kafka.consumer_confluent import ConfluentConsumer  # noqa: PLC0415
        except ImportError as error:
            raise DriverError(not_installed(error)) from error
        return ConfluentConsumer(options)
    raise DriverError(unknown_driver(driver))


def unknown_driver(driver: str) -> str:
    """Return the text of an error about a driver that does not exist."""
    return f"unknown Kafka driver {driver!r}; choose one of: {', '.join(DRIVERS)}"


def not_installed(error: ImportError) -> str:
    """Return the text of an error about an optional driver that is missing."""
    return (
        f"the driver confluent-kafka is not usable here ({error}); install the extra 'muse-stream[fast]', "
        f"or choose kafka-python"
    )


def position_error(consumer: BatchConsumer, refused: dict[Partition, int]) -> PositionError:
    """Build the error about positions outside their logs, with the ends as they are now."""
    first, last = consumer.beginning_offsets(refused), consumer.end_offsets(refused)
    found = "; ".join(
        f"{topic}[{partition}] at {offset}, log from {first[topic, partition]} to {last[topic, partition]}"
        for (topic, partition), offset in refused.items()
    )
    return PositionError(
        f"position outside the log: {found}. Records in between are gone, or this is another log; nothing was skipped. "
        f"Operator action: restore the store from a snapshot whose position lies inside, or move its directory away to "
        f"rebuild it.",
        refused,
    )
