"""What waits in the requests topic, as the brokers tell it: records, and not the markers that end transactions."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from muse_stream.streams.errors import TopicError, UnreachableError
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.consumer import ConsumerOptions, make_consumer
from muse_stream.streams.kafka.facts import ClusterFacts
from muse_stream.streams.kafka.producer import ProducerOptions, make_producer
from muse_stream.streams.worker.request_backlog import RequestBacklog
from tests.streams.ingest.cluster import until

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka
    from muse_stream.streams.kafka.topics import TopicNames

pytestmark = pytest.mark.kafka


class Bench:
    def __init__(self, bootstrap: str, topic: str) -> None:
        self.bootstrap, self.topic = bootstrap, topic
        self.backlog = RequestBacklog(
            topic,
            f"{topic}-group",
            lambda: ClusterFacts(bootstrap),
            lambda: make_consumer("kafka-python", ConsumerOptions(bootstrap)),
            Clock(),
        )

    def waiting(self, *partitions: int) -> Mapping[int, int]:
        """Nothing while a new broker has no coordinator yet."""
        try:
            return self.backlog.waiting(partitions)
        except UnreachableError:
            return {}

    def commit(self, offset: int) -> None:
        """What Faust would commit for partition 0."""
        at = (self.topic, 0)
        consumer = make_consumer("kafka-python", ConsumerOptions(self.bootstrap, group=f"{self.topic}-group"))
        consumer.commit({at: offset})
        until(lambda: consumer.committed([at]) == {at: offset})
        consumer.close()


@pytest.fixture
def bench(kafka: "EmbeddedKafka", topics: "TopicNames") -> Iterator[Bench]:
    bench = Bench(kafka.bootstrap, topics.requests)
    yield bench
    bench.backlog.close()


def test_records_wait_and_markers_do_not(bench: Bench) -> None:
    with pytest.raises(TopicError, match="does not exist"):
        bench.backlog.waiting([0])
    with connect_admin(bench.bootstrap) as admin:
        admin.create_topics({bench.topic: {"num_partitions": 2}}, wait_for_metadata=True)
    until(lambda: bench.waiting(0, 1) == {0: 0, 1: 0})
    writer = make_producer("kafka-python", ProducerOptions(bench.bootstrap, transactional_id=bench.topic))
    writer.begin()
    for _ in range(3):
        writer.send(bench.topic, b"key", b"request", partition=0).result(30)
    writer.commit()
    until(lambda: bench.waiting(0, 1) == {0: 4, 1: 0})
    assert bench.backlog.has_record(0)
    bench.commit(2)
    assert bench.waiting(0) == {0: 2}
    assert bench.backlog.has_record(0)
    bench.commit(3)
    assert bench.waiting(0) == {0: 1}
    assert not bench.backlog.has_record(0)
    writer.close()
