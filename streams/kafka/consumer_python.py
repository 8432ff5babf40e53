"""The default driver: kafka-python, pure Python but for the reading of records (`fetched`).

Invariant: see `consumer`. kafka-python's own position moves past transaction markers and aborted batches, so it is the
`next_offset` of a batch.

Informational commits go through a client of their own that holds no assignment: with a group, kafka-python's `poll`
would wait for the group's coordinator before it reads, and a commit that fails would surface there.
"""

import logging
import time
from collections.abc import Iterable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError as ClientError
from kafka.errors import LogTruncationError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from muse_stream.streams.errors import PositionError, UnreachableError
from muse_stream.streams.kafka.consumer import ConsumerOptions, Partition, position_error
from muse_stream.streams.kafka.fetched import ColumnRecords, Rows, headers_of, join
from muse_stream.streams.kafka.python_client import connecting
from muse_stream.streams.kafka.reach import unreachable
from muse_stream.streams.records import ByteColumn, RecordBatch
from muse_stream.streams.wire.recordscan import KEY, KEY_STOP, OFFSET, TIME, VALUE, VALUE_STOP

log = logging.getLogger(__name__)

_SLICE_MS = 50  # how long `wakeup` may take to be seen: kafka-python offers no way to interrupt its wait
_REST_BYTES, _REST_MS = 1, 100
"""Of fetches while nothing comes: the first record ends the wait at once, and ten fetches a second cost little.

It is also how long a partition that is newly assigned, or resumed, may wait for its first fetch.
"""


def _connect(options: ConsumerOptions, more: dict[str, object]) -> KafkaConsumer:
    given = (options.bootstrap, options.security, options.client_id, options.connect_timeout_ms)
    with connecting(*given) as shared:
        return KafkaConsumer(enable_auto_commit=False, metrics_enabled=False, **shared, **more)


def to_batch(partition: Partition, parts: list[Rows], next_offset: int) -> RecordBatch:
    """Columns of what was fetched of one partition."""
    buffer, columns = join(parts)
    return RecordBatch(
        topic=partition[0],
        partition=partition[1],
        keys=ByteColumn(buffer, columns[KEY], columns[KEY_STOP]),
        values=ByteColumn(buffer, columns[VALUE], columns[VALUE_STOP]),
        headers=headers_of(buffer, columns),
        offset=columns[OFFSET],
        broker_time_ms=columns[TIME],
        next_offset=next_offset,
    )


class PythonConsumer:
    """`BatchConsumer` on kafka-python."""

    def __init__(self, options: ConsumerOptions) -> None:
        """Connect.

        Raises:
            UnreachableError: No broker answers.

        """
        self._options = options
        self._told: dict[TopicPartition, int] = {}  # the position that the caller knows
        self._woken = False
        self._committer: KafkaConsumer | None = None
        self._consumer = _connect(
            options,
            {
                "group_id": None,
                "isolation_level": "read_committed",
                "auto_offset_reset": "none",
                "fetch_min_bytes": options.fetch_min_bytes,
                "fetch_max_wait_ms": options.fetch_max_wait_ms,
                "max_partition_fetch_bytes": options.max_partition_fetch_bytes,
            },
        )
        self._consumer._fetcher.PartitionRecords = ColumnRecords

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Replace the assignment."""
        wanted = {TopicPartition(*partition): offset for partition, offset in offsets.items()}
        staying = {partition: self._position(partition) for partition in self._told if partition in wanted}
        self._consumer.assign(list(wanted))
        for partition, offset in wanted.items():
            if staying.get(partition) != offset:
                self._consumer.seek(partition, offset)
        if wanted:
            self._consumer.resume(*wanted)
        self._told = wanted

    def seek(self, partition: Partition, offset: int) -> None:
        """Read an assigned partition from `offset` on."""
        self._consumer.seek(TopicPartition(*partition), offset)
        self._told[TopicPartition(*partition)] = offset

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """Return what has arrived."""
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            if self._woken:
                self._woken = False
                return []
            left_ms = max(0, int((deadline - time.monotonic()) * 1000))
            batches = self._poll_once(max_records, min(left_ms, _SLICE_MS))
            if batches or left_ms == 0:
                return batches

    def _poll_once(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        self._free_the_turn()
        try:
            fetched = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        except OffsetOutOfRangeError as error:
            raise self._out_of_range(error) from error
        except LogTruncationError as error:
            raise self._truncated(error) from error
        except ClientError as error:
            raise UnreachableError(unreachable(self._options.bootstrap, self._options.security, error)) from error
        self._ask_for(rest=not fetched)
        batches = []
        for partition, told in self._told.items():
            parts = fetched.get(partition, [])
            position = self._reached(partition, told)
            if parts or position != told:
                self._told[partition] = position
                batches.append(to_batch(partition, parts, position))
        return batches

    def _ask_for(self, *, rest: bool) -> None:
        """Say what the next fetches wait for: kafka-python builds each request from its fetcher's options."""
        given, options = self._consumer._fetcher.config, self._options
        given["fetch_min_bytes"] = _REST_BYTES if rest else options.fetch_min_bytes
        given["fetch_max_wait_ms"] = max(_REST_MS, options.fetch_max_wait_ms) if rest else options.fetch_max_wait_ms

    def _reached(self, partition: TopicPartition, told: int) -> int:
        """The position as the last poll left it: kafka-python's own `position` would do half a poll once more."""
        position = self._consumer._subscription.assignment[partition].position
        return told if position is None else int(position.offset)

    def _free_the_turn(self) -> None:
        """Let a partition that was paused half way through a fetch go on once it is resumed.

        kafka-python 3.0 puts what is left of the fetch aside and gives it its turn again where nobody has it; but who
        was read to the end keeps the turn, and such a partition would stand still for good.
        """
        fetcher = self._consumer._fetcher
        if not fetcher._next_partition_records:
            fetcher._next_partition_records = None

    def _position(self, partition: TopicPartition) -> int:
        try:
            position: int | None = self._consumer.position(partition, timeout_ms=0)
        except LogTruncationError as error:
            raise self._truncated(error) from error
        return self._told[partition] if position is None else position

    def _out_of_range(self, error: OffsetOutOfRangeError) -> PositionError:
        refused = dict(error.args[0]) if error.args and isinstance(error.args[0], Mapping) else {}
        return position_error(self, {(topic, partition): offset for (topic, partition), offset in refused.items()})

    def _truncated(self, error: LogTruncationError) -> PositionError:
        """The leader never had what was read (KIP-320); its log may have grown beyond us since."""
        cut = {(topic, number): self._told[topic, number] for topic, number in error.divergent_offsets}
        return position_error(self, cut)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these partitions."""
        self._consumer.pause(*(TopicPartition(*partition) for partition in partitions))

    def resume(self, partitions: Iterable[Partition]) -> None:
        """End `pause`."""
        self._consumer.resume(*(TopicPartition(*partition) for partition in partitions))

    def positions(self) -> dict[Partition, int]:
        """Return the next offset of each assigned partition."""
        return {(partition.topic, partition.partition): self._position(partition) for partition in self._told}

    def beginning_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask for the first offsets."""
        found = self._consumer.beginning_offsets([TopicPartition(*partition) for partition in partitions])
        return {(partition.topic, partition.partition): offset for partition, offset in found.items()}

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask for the last stable offsets."""
        found = self._consumer.end_offsets([TopicPartition(*partition) for partition in partitions])
        return {(partition.topic, partition.partition): offset for partition, offset in found.items()}

    def _group_client(self) -> KafkaConsumer:
        if self._committer is None:
            self._committer = _connect(self._options, {"group_id": self._options.group})
        return self._committer

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask for what the group committed."""
        if self._options.group is None:
            return {}
        client = self._group_client()
        found = {partition: client.committed(TopicPartition(*partition)) for partition in partitions}
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Leave positions with Kafka as information."""
        if self._options.group is None:
            return
        try:
            self._group_client().commit_async(
                {TopicPartition(*partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
            )
        except (ClientError, UnreachableError) as error:
            log.debug("informational commit failed: %s", error)

    def wakeup(self) -> None:
        """Make `poll` return."""
        self._woken = True

    def close(self) -> None:
        """Leave."""
        self._consumer.close(autocommit=False)
        if self._committer is not None:
            self._committer.close(autocommit=False)
