"""What a rebalance throws away of a partition without a commit is read again: Faust's consumer on a real Kafka."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.producer import ProducerOptions, make_producer
from muse_stream.streams.kafka.topics import TopicNames
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.faust_app import create_app

pytestmark = pytest.mark.kafka
PATIENCE_SECONDS = 60.0
COUNT = 13


async def fetched(consumer: Any, partition: Any) -> list[int]:
    """Offsets of what a fetch brings, as Faust's own loop asks for it."""
    found: list[int] = []
    while len(found) < COUNT:
        records = await consumer._getmany({partition}, timeout=1.0)
        found += [record.offset for record in records.get(partition, ())]
    return found


@pytest.mark.parametrize("committed", [None, 4])
def test_what_was_thrown_away_is_read_again(
    kafka: EmbeddedKafka, topics: TopicNames, tmp_path: Path, committed: int | None
) -> None:
    topic = topics.requests
    with connect_admin(kafka.bootstrap) as admin:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    producer = make_producer("kafka-python", ProducerOptions(kafka.bootstrap))
    for number in range(COUNT):
        producer.send(topic, b"key", b"%d" % number, partition=0)
    producer.flush(20)
    producer.close()

    async def read() -> list[list[int]]:
        given = {"kafka.brokers": kafka.bootstrap, "state.directory": tmp_path, "app.name": f"{topic}-{committed}"}
        app = create_app(Settings.load(None, given))
        consumer: Any = app.transport.create_consumer(
            callback=lambda message: asyncio.sleep(0),
            on_partitions_revoked=lambda revoked: asyncio.sleep(0),
            on_partitions_assigned=lambda assigned, generation: asyncio.sleep(0),
        )
        await consumer.start()
        try:
            await consumer.subscribe([topic])
            while not consumer.assignment():
                await asyncio.sleep(0.05)
            partition = next(one for one in consumer.assignment() if one.partition == 0)
            first = await fetched(consumer, partition)
            if committed is not None:
                await consumer._commit({partition: committed})
            await consumer.perform_seek()
            records: list[int] = []
            while not records or records[-1] < COUNT - 1:
                records += [
                    one.offset for one in (await consumer._getmany({partition}, timeout=1.0)).get(partition, ())
                ]
            return [first, records]
        finally:
            await consumer.stop()

    first, again = asyncio.run(asyncio.wait_for(read(), PATIENCE_SECONDS))
    assert first == list(range(COUNT))
    assert again == list(range(committed or 0, COUNT))
