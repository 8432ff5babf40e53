"""Ingest's ports on real Kafka clients: the log reader and the dead-letter producer.

Invariant: neither makes the ingest thread wait for a broker that is away, apart from questions at an assignment.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from kafka import TopicPartition as ClientPartition

from muse_stream.streams.ingest.ports import TopicPartition
from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.consumer import ConsumerOptions, Partition, make_consumer
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.rejects import Reject, encode_dead_letter

ACKNOWLEDGE_SECONDS = 60.0
"""Above the producer's own delivery timeout of 30 s, so that its answer comes first."""
SENDING_THREADS = 4
"""Partitions whose dead letters wait for a broker at the same time; others queue behind them."""


class KafkaLogReader:
    """`LogReader` on a batch consumer; the group's commits are asked of an admin client."""

    def __init__(self, driver: str, options: ConsumerOptions) -> None:
        """Connect; see `make_consumer` for what is raised."""
        self._options = options
        self._consumer = make_consumer(driver, options)

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Replace the assignment."""
        self._consumer.assign(_keyed(positions))

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """Return what has arrived."""
        return self._consumer.poll(max_records, timeout_ms)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver nothing of these."""
        self._consumer.pause(_plain(partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver again."""
        self._consumer.resume(_plain(partitions))

    def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask for log starts."""
        return _named(self._consumer.beginning_offsets(_plain(partitions)))

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask for last stable offsets."""
        return _named(self._consumer.end_offsets(_plain(partitions)))

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask for the group's commits."""
        group = self._options.group
        if group is None or not partitions:
            return {}
        asked = [ClientPartition(*at) for at in partitions]
        with connect_admin(self._options.bootstrap, self._options.security) as admin:
            found = admin.list_group_offsets({group: asked})[group]
        answers = {TopicPartition(at.topic, at.partition): commit.offset for at, commit in found.items()}
        return {at: offset for at, offset in answers.items() if offset >= 0}

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit without waiting."""
        self._consumer.commit(_keyed(positions))

    def wakeup(self) -> None:
        """End the poll that waits."""
        self._consumer.wakeup()

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


class KafkaLetterSink:
    """`DeadLetterSink` on a producer, in threads of its own since a producer may wait for metadata. Thread-safe."""

    def __init__(self, producer: RecordProducer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self._threads = ThreadPoolExecutor(SENDING_THREADS, "dead-letters")

    def send(self, rejects: Sequence[Reject]) -> "Future[None]":
        """Send in the background; the future is done when all are acknowledged, or has the first failure."""
        return self._threads.submit(self._send, rejects)

    def close(self) -> None:
        """End the threads without waiting; the producer is its owner's to close."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, rejects: Sequence[Reject]) -> None:
        letters = [encode_dead_letter(reject) for reject in rejects]
        for pending in [self._producer.send(self._topic, key, value) for key, value in letters]:
            pending.result(ACKNOWLEDGE_SECONDS)


def _plain(partitions: Iterable[TopicPartition]) -> list[Partition]:
    return [(at.topic, at.partition) for at in partitions]


def _keyed(offsets: Mapping[TopicPartition, int]) -> dict[Partition, int]:
    return {(at.topic, at.partition): offset for at, offset in offsets.items()}


def _named(offsets: Mapping[Partition, int]) -> dict[TopicPartition, int]:
    return {TopicPartition(*at): offset for at, offset in offsets.items()}
