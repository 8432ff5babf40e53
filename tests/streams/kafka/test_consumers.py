"""Both drivers give the rows of the log: all that is committed, once, in order, from the asked position on."""

import dataclasses
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from muse_stream.streams.errors import DriverError, PositionError, UnreachableError
from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.consumer import DRIVERS, BatchConsumer, ConsumerOptions, Partition, make_consumer
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.producer import ProducerOptions, RecordProducer, make_producer
from muse_stream.streams.records import Headers, RecordBatch

pytestmark = pytest.mark.kafka
PATIENCE_MS = 20_000


@dataclass
class Rows:
    """The batches of one partition, put end to end."""

    keys: list[bytes | None] = dataclasses.field(default_factory=list)
    values: list[bytes | None] = dataclasses.field(default_factory=list)
    headers: list[Headers | None] = dataclasses.field(default_factory=list)
    offset: list[int] = dataclasses.field(default_factory=list)
    broker_time_ms: list[int] = dataclasses.field(default_factory=list)
    next_offset: int = -1

    def add(self, batch: RecordBatch) -> None:
        assert len(batch.keys) == len(batch.values) == len(batch.headers) == len(batch.offset) == len(batch)
        assert batch.offset.dtype == batch.broker_time_ms.dtype == np.int64
        offsets = self.offset[-1:] + batch.offset.tolist()
        assert offsets == sorted(set(offsets))
        assert batch.next_offset > max([self.next_offset, *offsets])
        self.keys += batch.keys
        self.values += batch.values
        self.headers += batch.headers
        self.offset += batch.offset.tolist()
        self.broker_time_ms += batch.broker_time_ms.tolist()
        self.next_offset = batch.next_offset


def read_to(consumer: BatchConsumer, ends: dict[Partition, int], *, max_records: int = 10_000) -> dict[Partition, Rows]:
    """Poll until every partition's position is its end."""
    rows = {partition: Rows() for partition in ends}
    while consumer.positions() != ends:
        batches = consumer.poll(max_records, PATIENCE_MS)
        assert batches, f"nothing more arrived; at {consumer.positions()}, expected {ends}"
        assert sum(map(len, batches)) <= max_records
        assert len({(batch.topic, batch.partition) for batch in batches}) == len(batches)
        for batch in batches:
            rows[batch.topic, batch.partition].add(batch)
    return rows


@pytest.fixture(params=DRIVERS)
def consumer(request: pytest.FixtureRequest, kafka: EmbeddedKafka, group: str) -> Iterator[BatchConsumer]:
    made = make_consumer(request.param, ConsumerOptions(kafka.bootstrap, group=group))
    yield made
    made.close()


@pytest.fixture
def group(topic: str) -> str:
    return f"{topic}-group"


@pytest.fixture
def topic(kafka: EmbeddedKafka, request: pytest.FixtureRequest) -> str:
    """A topic of two partitions with the name of the test."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    with connect_admin(kafka.bootstrap) as admin:
        admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    return name


@pytest.fixture(scope="module")
def producer(kafka: EmbeddedKafka) -> Iterator[RecordProducer]:
    made = make_producer("kafka-python", ProducerOptions(kafka.bootstrap))
    yield made
    made.close()


def fill(producer: RecordProducer, topic: str, count: int, partition: int = 0) -> list[bytes]:
    values = [b"value %d" % number for number in range(count)]
    producer.send_many(topic, [b"key %d" % number for number in range(count)], values, partition=partition)
    producer.flush(60)
    return values


def test_drivers_agree_record_by_record(kafka: EmbeddedKafka, topic: str, producer: RecordProducer) -> None:
    fill(producer, topic, 3000)
    fill(producer, topic, 700, partition=1)
    producer.send(topic, None, b"no key", headers=[("a", b"1"), ("a", b"")], partition=1).result(20)
    producer.send(topic, b"no value", None, partition=1).result(20)
    producer.send(topic, b"", b"", partition=1, timestamp_ms=1_000_000_000_000).result(20)
    seen = []
    for driver in DRIVERS:
        consumer = make_consumer(driver, ConsumerOptions(kafka.bootstrap))
        consumer.assign({(topic, 0): 10, (topic, 1): 0})
        ends = consumer.end_offsets([(topic, 0), (topic, 1)])
        assert ends == {(topic, 0): 3000, (topic, 1): 703}
        seen.append(read_to(consumer, ends, max_records=900))
        consumer.close()
    assert seen[0] == seen[1]
    assert seen[0][topic, 0].offset == list(range(10, 3000))
    last = seen[0][topic, 1]
    assert last.keys[-3:] == [None, b"no value", b""]
    assert last.values[-3:] == [b"no key", None, b""]
    assert last.headers[-4:] == [None, [("a", b"1"), ("a", b"")], None, None]
    assert last.broker_time_ms[-1] == 1_000_000_000_000


def test_drivers_agree_on_transactions(kafka: EmbeddedKafka, topic: str) -> None:
    options = ProducerOptions(kafka.bootstrap, transactional_id=topic)
    writer = make_producer("kafka-python", options)
    expected = []
    for number in range(8):
        writer.begin()
        values = [b"%d of %d" % (part, number) for part in range(number)]
        writer.send_many(topic, [b"key"] * number, values, partition=0)
        writer.flush(20)
        if number % 3:
            writer.commit()
            expected += values
        else:
            writer.abort()
    writer.begin()
    open_at = writer.send(topic, b"key", b"not yet", partition=0).result(20).offset
    seen = []
    for driver in DRIVERS:
        consumer = make_consumer(driver, ConsumerOptions(kafka.bootstrap))
        consumer.assign({(topic, 0): 0})
        assert consumer.end_offsets([(topic, 0)]) == {(topic, 0): open_at}
        seen.append(read_to(consumer, {(topic, 0): open_at}))
        assert consumer.poll(10, 0) == []
        consumer.close()
    assert seen[0] == seen[1]
    assert seen[0][topic, 0].values == expected
    writer.abort()
    writer.close()


def test_interleaved_transactions_read_from_anywhere(
    kafka: EmbeddedKafka, topic: str, producer: RecordProducer
) -> None:
    """Two transactional writers and a plain one take turns at random; every suffix reads alike with both drivers."""
    chance = random.Random(20)
    names = [f"{topic}-{number}" for number in range(2)]
    writers = [make_producer("kafka-python", ProducerOptions(kafka.bootstrap, transactional_id=name)) for name in names]
    unsure: dict[int, list[tuple[int, bytes]]] = {}
    visible: list[tuple[int, bytes]] = []
    for step in range(80):
        value = b"value %d" % step
        turn = chance.randrange(3)
        if turn == 2:
            visible.append((producer.send(topic, b"key", value, partition=0).result(20).offset, value))
            continue
        if turn in unsure and chance.random() < 0.4:
            done = unsure.pop(turn)
            if chance.random() < 0.5:
                writers[turn].commit()
                visible += done
            else:
                writers[turn].abort()
        else:
            if turn not in unsure:
                writers[turn].begin()
            written = writers[turn].send(topic, b"key", value, partition=0).result(20)
            unsure.setdefault(turn, []).append((written.offset, value))
    for turn in unsure:
        writers[turn].abort()
    for writer in writers:
        writer.close()
    visible.sort()
    for driver in DRIVERS:
        consumer = make_consumer(driver, ConsumerOptions(kafka.bootstrap))
        ends = consumer.end_offsets([(topic, 0)])
        for start in range(0, ends[topic, 0], 7):
            consumer.assign({(topic, 0): start})
            rows = read_to(consumer, ends, max_records=9)[topic, 0]
            assert list(zip(rows.offset, rows.values, strict=True)) == [row for row in visible if row[0] >= start]
        consumer.close()


def test_position_passes_an_aborted_end(kafka: EmbeddedKafka, topic: str, consumer: BatchConsumer) -> None:
    consumer.assign({(topic, 0): 0})
    writer = make_producer("kafka-python", ProducerOptions(kafka.bootstrap, transactional_id=topic))
    writer.begin()
    writer.send(topic, b"key", b"value", partition=0).result(20)
    writer.abort()
    rows = read_to(consumer, {(topic, 0): 2})[topic, 0]
    assert rows == Rows(next_offset=2)
    writer.close()


def test_assign_replaces_and_keeps_what_stays(topic: str, consumer: BatchConsumer, producer: RecordProducer) -> None:
    first, second = fill(producer, topic, 50), fill(producer, topic, 60, partition=1)
    consumer.assign({(topic, 0): 0})
    assert read_to(consumer, {(topic, 0): 50})[topic, 0].values == first
    consumer.assign({**consumer.positions(), (topic, 1): 20})
    rows = read_to(consumer, {(topic, 0): 50, (topic, 1): 60})
    assert rows[topic, 0].values == []
    assert rows[topic, 1].values == second[20:]
    consumer.assign({(topic, 1): 59})
    assert list(consumer.positions()) == [(topic, 1)]
    assert read_to(consumer, {(topic, 1): 60})[topic, 1].values == second[59:]
    consumer.assign({})
    assert consumer.positions() == {}
    assert consumer.poll(10, 0) == []


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_compressed_batches_are_read_alike(kafka: EmbeddedKafka, topic: str, codec: str) -> None:
    """As other producers send them."""
    confluent = pytest.importorskip("confluent_kafka")
    sender = confluent.Producer({"bootstrap.servers": kafka.bootstrap, "compression.type": codec, "linger.ms": 50})
    values = [b"%d %s" % (number, b"x" * number) for number in range(300)]
    for value in values:
        sender.produce(topic, value, b"key", 0, headers=[("h", b"1")] if len(value) % 7 == 0 else None)
    sender.flush(20)
    seen = []
    for driver in DRIVERS:
        consumer = make_consumer(driver, ConsumerOptions(kafka.bootstrap))
        consumer.assign({(topic, 0): 150})
        seen.append(read_to(consumer, {(topic, 0): 300}, max_records=40)[topic, 0])
        consumer.close()
    assert seen[0] == seen[1]
    assert seen[0].values == values[150:]


def test_a_record_after_a_rest_comes_alone(topic: str, consumer: BatchConsumer, producer: RecordProducer) -> None:
    """However little a fetch that rests waits for, nothing is missed when records come again."""
    consumer.assign({(topic, 0): 0})
    for number in range(3):
        assert consumer.poll(10, 250) == []
        producer.send(topic, b"key", b"%d" % number, partition=0).result(20)
        assert read_to(consumer, {(topic, 0): number + 1})[topic, 0].values == [b"%d" % number]


def test_seek_goes_back_and_forth(topic: str, consumer: BatchConsumer, producer: RecordProducer) -> None:
    values = fill(producer, topic, 50)
    consumer.assign({(topic, 0): 45})
    consumer.seek((topic, 0), 5)
    assert read_to(consumer, {(topic, 0): 50})[topic, 0].values == values[5:]
    consumer.seek((topic, 0), 40)
    assert consumer.positions() == {(topic, 0): 40}
    assert read_to(consumer, {(topic, 0): 50})[topic, 0].values == values[40:]
    with pytest.raises(ValueError, match="assigned"):
        consumer.seek((topic, 1), 0)


def test_poll_returns_no_more_than_asked(topic: str, consumer: BatchConsumer, producer: RecordProducer) -> None:
    values = fill(producer, topic, 20)
    consumer.assign({(topic, 0): 0})
    (batch,) = consumer.poll(1, PATIENCE_MS)
    assert (batch.values, batch.next_offset) == (values[:1], 1)
    assert read_to(consumer, {(topic, 0): 20}, max_records=7)[topic, 0].values == values[1:]


def test_pause_holds_one_partition_back(topic: str, consumer: BatchConsumer, producer: RecordProducer) -> None:
    consumer.assign({(topic, 0): 0, (topic, 1): 0})
    consumer.pause([(topic, 0)])
    held, free = fill(producer, topic, 30), fill(producer, topic, 30, partition=1)
    rows = read_to(consumer, {(topic, 0): 0, (topic, 1): 30})
    assert rows[topic, 1].values == free
    assert consumer.poll(100, 0) == []
    consumer.resume([(topic, 0)])
    assert read_to(consumer, {(topic, 0): 30, (topic, 1): 30})[topic, 0].values == held


def test_a_partition_paused_half_way_goes_on(topic: str, consumer: BatchConsumer, producer: RecordProducer) -> None:
    values = fill(producer, topic, 30)
    consumer.assign({(topic, 0): 0, (topic, 1): 0})
    rows = Rows()
    while rows.next_offset < 7:
        for batch in consumer.poll(7, PATIENCE_MS):
            rows.add(batch)
    consumer.pause([(topic, 0)])
    for count in (30, 60):
        fill(producer, topic, 30, partition=1)
        read_to(consumer, {(topic, 0): 7, (topic, 1): count}, max_records=7)
    consumer.resume([(topic, 0)])
    assert rows.values + read_to(consumer, {(topic, 0): 30, (topic, 1): 60})[topic, 0].values == values


def test_position_outside_the_log_is_loud(
    kafka: EmbeddedKafka, topic: str, consumer: BatchConsumer, producer: RecordProducer
) -> None:
    values = fill(producer, topic, 20)
    with connect_admin(kafka.bootstrap) as admin:
        from kafka import TopicPartition

        admin.delete_records({TopicPartition(topic, 0): 12})
    assert consumer.beginning_offsets([(topic, 0)]) == {(topic, 0): 12}
    for wrong in (5, 1_000):
        consumer.assign({(topic, 0): wrong})
        with pytest.raises(PositionError, match=rf"at {wrong}, log from 12 to 20") as caught:
            read_to(consumer, {(topic, 0): 20})
        assert caught.value.positions == {(topic, 0): wrong}
    consumer.assign({(topic, 0): 12})
    assert read_to(consumer, {(topic, 0): 20})[topic, 0].values == values[12:]


def test_commits_are_information(topic: str, consumer: BatchConsumer, producer: RecordProducer) -> None:
    fill(producer, topic, 20)
    consumer.assign({(topic, 0): 0})
    assert consumer.committed([(topic, 0), (topic, 1)]) == {}
    consumer.commit({(topic, 0): 7})
    assert eventually(lambda: consumer.committed([(topic, 0), (topic, 1)]) == {(topic, 0): 7})
    assert consumer.positions() == {(topic, 0): 0}
    assert len(read_to(consumer, {(topic, 0): 20})[topic, 0].values) == 20


def test_without_group_nothing_is_committed(kafka: EmbeddedKafka, topic: str) -> None:
    for driver in DRIVERS:
        consumer = make_consumer(driver, ConsumerOptions(kafka.bootstrap))
        consumer.commit({(topic, 0): 7})
        assert consumer.committed([(topic, 0)]) == {}
        consumer.close()


def test_wakeup_ends_a_long_poll(topic: str, consumer: BatchConsumer) -> None:
    consumer.assign({(topic, 0): 0})
    consumer.wakeup()
    assert consumer.poll(10, PATIENCE_MS) == []
    found: list[list[RecordBatch]] = []
    polling = threading.Thread(target=lambda: found.append(consumer.poll(10, 3_600_000)))
    polling.start()
    consumer.wakeup()
    polling.join(PATIENCE_MS / 1000)
    assert found == [[]]


def test_unknown_driver_is_named(kafka: EmbeddedKafka) -> None:
    with pytest.raises(DriverError, match="'librdkafka'; choose one of: kafka-python, confluent"):
        make_consumer("librdkafka", ConsumerOptions(kafka.bootstrap))


@pytest.mark.parametrize("driver", DRIVERS)
def test_nobody_at_the_address_is_said(driver: str) -> None:
    options = ConsumerOptions("127.0.0.1:9", connect_timeout_ms=300)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9 .*Nothing listens there"):
        make_consumer(driver, options)


def eventually(condition: Callable[[], bool]) -> bool:
    pause = threading.Event()
    return any(condition() or pause.wait(0.05) for _ in range(400))
