"""Both producers: acknowledged means written, keys go where murmur2 says, and what is refused is told."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.partitioner.default import murmur2

from muse_stream.streams.errors import DeliveryError, DriverError, UnreachableError
from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.consumer import DRIVERS, ConsumerOptions, make_consumer
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.producer import ProducerOptions, RecordProducer, make_producer
from muse_stream.streams.kafka.producer_python import PythonProducer
from muse_stream.streams.records import RecordBatch

pytestmark = pytest.mark.kafka
PARTITIONS = 4
SMALL_BYTES = 5_000


@pytest.fixture(scope="module")
def topic(kafka: EmbeddedKafka) -> str:
    with connect_admin(kafka.bootstrap) as admin:
        admin.create_topics({"written": {"num_partitions": PARTITIONS}}, wait_for_metadata=True)
    return "written"


@pytest.fixture(scope="module")
def small(kafka: EmbeddedKafka) -> str:
    """A topic that takes small records only."""
    wanted = {"num_partitions": 1, "configs": {"max.message.bytes": str(SMALL_BYTES)}}
    with connect_admin(kafka.bootstrap) as admin:
        admin.create_topics({"small": wanted}, wait_for_metadata=True)
    return "small"


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def producer(kafka: EmbeddedKafka, driver: str) -> Iterator[RecordProducer]:
    made = make_producer(driver, ProducerOptions(kafka.bootstrap, batch_bytes=SMALL_BYTES // 2))
    yield made
    made.close()


def read_from(kafka: EmbeddedKafka, topic: str, start: dict[tuple[str, int], int], count: int) -> list[RecordBatch]:
    consumer = make_consumer("kafka-python", ConsumerOptions(kafka.bootstrap))
    consumer.assign(start)
    batches: list[RecordBatch] = []
    while sum(map(len, batches)) < count:
        more = consumer.poll(1000, 20_000)
        assert more, f"only {sum(map(len, batches))} of {count} records in {topic}"
        batches += more
    consumer.close()
    return batches


def ends(kafka: EmbeddedKafka, topic: str) -> dict[tuple[str, int], int]:
    consumer = make_consumer("kafka-python", ConsumerOptions(kafka.bootstrap))
    found = consumer.end_offsets([(topic, number) for number in range(PARTITIONS)])
    consumer.close()
    return found


def test_result_says_where_the_record_is(kafka: EmbeddedKafka, topic: str, producer: RecordProducer) -> None:
    pending = producer.send(topic, b"key", b"value", headers=[("muse-format", b"json/1")], partition=2)
    written = pending.result(20)
    assert pending.done()
    assert pending.exception() is None
    (batch,) = read_from(kafka, topic, {(topic, written.partition): written.offset}, 1)
    assert (batch.partition, batch.offset.tolist()) == (2, [written.offset])
    assert (batch.keys, batch.values) == ([b"key"], [b"value"])
    assert batch.headers == [[("muse-format", b"json/1")]]


def test_keys_go_where_murmur2_says(kafka: EmbeddedKafka, topic: str, producer: RecordProducer) -> None:
    start = ends(kafka, topic)
    keys = [str(number).encode() for number in range(200)]
    producer.send_many(topic, keys, [b"x"] * len(keys), headers=[("h", b"1")])
    producer.flush(20)
    batches = read_from(kafka, topic, start, len(keys))
    assert sorted(key for batch in batches for key in batch.keys if key) == sorted(keys)
    for batch in batches:
        assert all((murmur2(key) & 0x7FFF_FFFF) % PARTITIONS == batch.partition for key in batch.keys)
        assert all(headers == [("h", b"1")] for headers in batch.headers)


def test_records_of_a_key_keep_their_order(kafka: EmbeddedKafka, topic: str, producer: RecordProducer) -> None:
    start = ends(kafka, topic)
    values = [b"%d" % number for number in range(5000)]
    producer.send_many(topic, [b"same"] * len(values), values)
    producer.flush(60)
    batches = read_from(kafka, topic, start, len(values))
    assert [value for batch in batches for value in batch.values] == values


def test_record_above_the_topic_s_limit_is_refused(small: str, producer: RecordProducer) -> None:
    pending = producer.send(small, b"key", b"x" * (2 * SMALL_BYTES))
    with pytest.raises(DeliveryError, match="not acknowledged"):
        pending.result(20)
    assert pending.done()
    assert isinstance(pending.exception(), DeliveryError)


def test_flush_tells_what_send_many_lost(small: str, producer: RecordProducer) -> None:
    producer.send_many(small, [b"a", b"b", b"c"], [b"x", b"x" * (2 * SMALL_BYTES), b"x"], partition=0)
    with pytest.raises(DeliveryError, match="not acknowledged"):
        producer.flush(20)
    producer.send(small, b"key", b"fine")
    producer.flush(20)


def test_record_above_our_own_limit_is_refused(kafka: EmbeddedKafka, topic: str, driver: str) -> None:
    made = make_producer(driver, ProducerOptions(kafka.bootstrap, max_record_bytes=SMALL_BYTES))
    with pytest.raises(DeliveryError):
        made.send(topic, b"key", b"x" * (2 * SMALL_BYTES)).result(20)
    made.close()


def test_transactions_are_visible_when_committed(kafka: EmbeddedKafka, topic: str, driver: str) -> None:
    start = ends(kafka, topic)
    made = make_producer(driver, ProducerOptions(kafka.bootstrap, transactional_id=f"written-{driver}"))
    for word in (made.abort, made.commit):
        made.begin()
        made.send_many(topic, [b"key"] * 3, [word.__name__.encode()] * 3, partition=1)
        made.flush(20)
        word()
    batches = read_from(kafka, topic, {(topic, 1): start[topic, 1]}, 3)
    assert [value for batch in batches for value in batch.values] == [b"commit"] * 3
    with pytest.raises(DeliveryError):
        made.commit()
    made.close()


def test_nobody_at_the_address_is_said(driver: str) -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9 .*Nothing listens there"):
        make_producer(driver, ProducerOptions("127.0.0.1:9", connect_timeout_ms=300))


def test_closing_without_a_broker_does_not_raise(caplog: pytest.LogCaptureFixture) -> None:
    def close(timeout: float) -> None:
        message = f"3 records were not acknowledged in {timeout} s"
        raise KafkaTimeoutError(message)

    producer = PythonProducer.__new__(PythonProducer)
    vars(producer)["_producer"] = SimpleNamespace(close=close)  # a broker cut off at the right moment is hard to have
    producer.close()
    assert "3 records were not acknowledged" in caplog.text


def test_unknown_driver_is_named() -> None:
    with pytest.raises(DriverError, match="'aiokafka'; choose one of"):
        make_producer("aiokafka", ProducerOptions("127.0.0.1:9"))
