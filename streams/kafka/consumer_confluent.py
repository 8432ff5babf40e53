"""The optional, faster driver: confluent-kafka (librdkafka).

Invariant: see `consumer`. librdkafka's own position is the last delivered record plus one and stays before transaction
markers; the end-of-partition event carries the offset that comes after them. So the position is kept here, from both.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from numpy.typing import NDArray

from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.kafka.calm_log import CalmLog
from muse_stream.streams.kafka.consumer import ConsumerOptions, Partition, position_error
from muse_stream.streams.kafka.reach import require_listener, unreachable
from muse_stream.streams.records import Headers, RecordBatch

log = logging.getLogger(__name__)

_SLICE_SECONDS = 0.05  # how long `wakeup` may take to be seen: librdkafka offers no way to interrupt its wait
_ASK_SECONDS = 10.0
_NO_GROUP = "muse-stream-no-group"  # librdkafka insists on a name; without commits nothing is ever stored under it
_REFUSED = frozenset(
    (
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
    )
)


def _configuration(options: ConsumerOptions) -> dict[str, Any]:
    return {
        "bootstrap.servers": options.bootstrap,
        "client.id": options.client_id,
        "group.id": options.group or _NO_GROUP,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "check.crcs": True,  # as kafka-python does: both drivers must notice the same damage
        "fetch.min.bytes": options.fetch_min_bytes,
        "fetch.wait.max.ms": options.fetch_max_wait_ms,
        "max.partition.fetch.bytes": options.max_partition_fetch_bytes,
        # The default of 1 s stalls the fetcher whenever its queue was full once: 378 000 records/s instead of 1.8 M.
        "fetch.queue.backoff.ms": 10,
        # Of all partitions together; the default of 64 MiB is ten seconds of nothing but buffer on a small machine.
        "queued.max.messages.kbytes": 32 * 1024,
        "fetch.error.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1_000,
        **options.security.confluent(),
    }


class ConfluentConsumer:
    """`BatchConsumer` on confluent-kafka."""

    def __init__(self, options: ConsumerOptions) -> None:
        """Connect.

        Raises:
            UnreachableError: No broker answers.

        """
        self._options = options
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._woken = False
        self._failure: KafkaError | None = None
        self._refused_positions: dict[Partition, int] = {}
        require_listener(options.bootstrap, options.security, options.connect_timeout_ms)
        self._consumer = Consumer(_configuration(options) | {"error_cb": self._note}, logger=CalmLog(log))
        try:
            self._consumer.list_topics(timeout=options.connect_timeout_ms / 1000)
        except KafkaException as error:
            self._consumer.close()
            reason = self._failure or error
            raise UnreachableError(unreachable(options.bootstrap, options.security, reason)) from error

    def _note(self, error: KafkaError) -> None:
        if error.code() in _REFUSED or error.fatal():
            self._failure = error

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Replace the assignment."""
        self._paused.clear()
        self._positions = dict(offsets)
        self._refused_positions.clear()
        self._apply()

    def _apply(self) -> None:
        wanted = [TopicPartition(topic, number, offset) for (topic, number), offset in self._positions.items()]
        self._consumer.assign(wanted)
        self._consumer.resume(wanted)
        self._consumer.pause([TopicPartition(*partition) for partition in self._paused])

    def seek(self, partition: Partition, offset: int) -> None:
        """Read an assigned partition from `offset` on.

        By a new assignment: librdkafka refuses a seek until the partition's first fetch is under way.
        """
        if partition not in self._positions:
            text = f"{partition} is not assigned"
            raise ValueError(text)
        self._positions[partition] = offset
        self._refused_positions.pop(partition, None)
        self._apply()

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """Return what has arrived."""
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            if self._woken:
                self._woken = False
                return []
            self._raise_failures()
            left = max(0.0, deadline - time.monotonic())
            # `consume(n, t)` waits for t or n records: so wait for one, then take what else is there.
            messages = self._consumer.consume(1, min(left, _SLICE_SECONDS))
            if messages and max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
            batches = self._batches(messages)
            if batches or (not messages and left == 0.0):
                return batches

    def _raise_failures(self) -> None:
        if self._refused_positions:
            refused, self._refused_positions = self._refused_positions, {}
            raise position_error(self, refused)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise UnreachableError(unreachable(self._options.bootstrap, self._options.security, failure))

    def _batches(self, messages: list[Message]) -> list[RecordBatch]:
        moved: set[Partition] = set()
        if any(map(Message.error, messages)):
            moved = self._events([message for message in messages if message.error()])
            messages = [message for message in messages if not message.error()]
        batches = []
        for partition, records in _by_partition(messages, {topic for topic, _ in self._positions}).items():
            moved.discard(partition)
            batch = to_batch(partition, records, self._positions[partition])
            self._positions[partition] = batch.next_offset
            batches.append(batch)
        return batches + [to_batch(partition, [], self._positions[partition]) for partition in moved]

    def _events(self, messages: list[Message]) -> set[Partition]:
        """Take notice of what is not a record; returns the partitions whose position moved by it."""
        moved = set()
        for message in messages:
            error, partition, offset = cast(KafkaError, message.error()), _partition(message), _offset(message)
            if error.code() == KafkaError._PARTITION_EOF:
                if offset > self._positions.get(partition, offset):
                    self._positions[partition] = offset
                    moved.add(partition)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                self._refused_positions[partition] = self._positions[partition]
            elif error.code() in _REFUSED or error.fatal():
                self._failure = error
            else:
                log.warning("%s: %s", partition, error)
        return moved

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these partitions."""
        wanted = set(partitions)
        self._paused |= wanted
        self._consumer.pause([TopicPartition(*partition) for partition in wanted])

    def resume(self, partitions: Iterable[Partition]) -> None:
        """End `pause`."""
        wanted = set(partitions)
        self._paused -= wanted
        self._consumer.resume([TopicPartition(*partition) for partition in wanted])

    def positions(self) -> dict[Partition, int]:
        """Return the next offset of each assigned partition."""
        return dict(self._positions)

    def _watermarks(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        try:
            return {
                partition: self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=_ASK_SECONDS)
                for partition in partitions
            }
        except KafkaException as error:
            raise UnreachableError(unreachable(self._options.bootstrap, self._options.security, error)) from error

    def beginning_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask for the first offsets."""
        return {partition: first for partition, (first, _) in self._watermarks(partitions).items()}

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask for the last stable offsets (librdkafka's high watermark is that under `read_committed`)."""
        return {partition: last for partition, (_, last) in self._watermarks(partitions).items()}

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask for what the group committed."""
        if self._options.group is None:
            return {}
        wanted = [TopicPartition(*partition) for partition in partitions]
        try:
            found = self._consumer.committed(wanted, timeout=_ASK_SECONDS)
        except KafkaException as error:
            raise UnreachableError(unreachable(self._options.bootstrap, self._options.security, error)) from error
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Leave positions with Kafka as information."""
        if self._options.group is None or not offsets:
            return
        wanted = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        try:
            self._consumer.commit(offsets=wanted, asynchronous=True)
        except KafkaException as error:
            log.debug("informational commit failed: %s", error)

    def wakeup(self) -> None:
        """Make `poll` return."""
        self._woken = True

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


def _partition(message: Message) -> Partition:
    return cast(Partition, (message.topic(), message.partition()))


def _offset(message: Message) -> int:
    return cast(int, message.offset())


def _by_partition(messages: list[Message], topics: set[str]) -> dict[Partition, list[Message]]:
    """Group by partition in log order; librdkafka delivers runs of one partition, so it costs slices, not records."""
    if not messages:
        return {}
    numbers = np.fromiter(map(Message.partition, messages), np.int64, len(messages))
    changes = numbers[1:] != numbers[:-1]
    if len(topics) > 1:  # asking each record for its topic makes a string each
        names = np.array(list(map(Message.topic, messages)), object)
        changes |= (names[1:] != names[:-1]).astype(bool)
    groups: dict[Partition, list[Message]] = {}
    starts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(messages)]
    for start, stop in pairwise(starts):
        groups.setdefault(_partition(messages[start]), []).extend(messages[start:stop])
    return groups


def to_batch(partition: Partition, records: list[Message], position: int) -> RecordBatch:
    """Turn librdkafka's records of one partition into columns; `position` is where it stands without them."""
    count = len(records)
    offset: NDArray[np.int64] = np.fromiter(map(Message.offset, records), np.int64, count)
    return RecordBatch(
        topic=partition[0],
        partition=partition[1],
        keys=list(map(Message.key, records)),
        values=list(map(Message.value, records)),
        headers=cast(list[Headers | None], list(map(Message.headers, records))),
        offset=offset,
        broker_time_ms=np.fromiter((time_ms for _, time_ms in map(Message.timestamp, records)), np.int64, count),
        next_offset=max(position, int(offset[-1]) + 1) if count else position,
    )
