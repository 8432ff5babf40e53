"""Trouble with the log on a real broker, seen by both drivers while they read."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from kafka.errors import KafkaError as ClientError

from muse_stream.streams.ingest import watch
from muse_stream.streams.ingest.status import PartitionState, Phase, Stopped
from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.facts import ClusterFacts
from muse_stream.streams.wire.encode import encode_behaviour
from muse_stream.streams.wire.partitioner import partition_of_key
from tests.streams.ingest.cluster import PATIENCE_SECONDS, Cluster, Running, until

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka
    from muse_stream.streams.kafka.topics import TopicNames

pytestmark = pytest.mark.kafka
DRIVERS = ("kafka-python", "confluent")
TIME_MS = 1_700_000_000_000


@pytest.fixture(autouse=True)
def checks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(watch, "ENDS_SECONDS", 0.1)


@pytest.fixture
def cluster(kafka: "EmbeddedKafka", topics: "TopicNames") -> Iterator[Cluster]:
    cluster = Cluster.create(kafka.bootstrap, topics)
    yield cluster
    cluster.close()


def user_of(partition: int) -> int:
    return next(user for user in range(1, 100) if partition_of_key(str(user).encode(), 2) == partition)


def write(cluster: Cluster, partition: int, items: range) -> None:
    """Behaviours of one user of the partition."""
    producer = cluster.producer()
    pairs = [encode_behaviour(user_of(partition), item, TIME_MS + item, 1) for item in items]
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    producer.send_many(cluster.names.behaviours, keys, values, partition=partition)
    producer.flush(30)
    producer.close()


def recreate(cluster: Cluster) -> None:
    """Delete the behaviours topic and create it again under its name."""
    name = cluster.names.behaviours
    with connect_admin(cluster.bootstrap) as admin:
        admin.delete_topics([name])
        deadline = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                admin.create_topics({name: {"num_partitions": cluster.partitions}}, wait_for_metadata=True)
            except ClientError:  # the old one is still on its way out
                assert monotonic() < deadline
                sleep(0.05)
            else:
                return


def failed(running: Running, *partitions: int) -> list[PartitionState]:
    until(lambda: all(running.service.states()[number].phase is Phase.FAILED for number in partitions))
    return [running.service.states()[number] for number in partitions]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_topic_created_again_and_grown_beyond_the_position_stops_while_it_is_read(
    cluster: Cluster, tmp_path: Path, driver: str
) -> None:
    write(cluster, 0, range(1, 11))
    running = cluster.start(tmp_path, driver).assign(0, 1).caught_up(0)
    recreate(cluster)
    write(cluster, 0, range(101, 201))
    known = {Stopped.OTHER_LOG: "created again", Stopped.POSITION: "this is another log"}
    for state in failed(running, 0, 1):
        assert state.stopped in known, state.error
        assert known[state.stopped] in str(state.error)
        assert "Operator action" in str(state.error)


def test_a_topic_created_again_and_grown_beyond_the_position_is_refused_by_the_next_worker(
    cluster: Cluster, tmp_path: Path
) -> None:
    write(cluster, 0, range(1, 11))
    cluster.start(tmp_path).assign(0).caught_up(0).stop()
    recreate(cluster)
    write(cluster, 0, range(101, 201))
    running = cluster.start(tmp_path).assign(0, 1)
    (state,) = failed(running, 0)
    assert state.stopped is Stopped.OTHER_LOG
    assert "deleted and created again" in str(state.error)
    until(lambda: running.service.states()[1].ready)


@pytest.mark.parametrize("driver", DRIVERS)
def test_retention_that_overtakes_the_reader_stops_that_partition_alone(
    cluster: Cluster, tmp_path: Path, driver: str
) -> None:
    """What lay between position and log start is gone; neither driver jumps over it."""
    write(cluster, 0, range(1, 11))
    running = cluster.start(tmp_path, driver).assign(0, 1).caught_up(0)
    at = (cluster.names.behaviours, 0)
    reader = running.service._reader
    assert reader is not None
    running.service.call(lambda: reader.pause([at])).result(PATIENCE_SECONDS)
    write(cluster, 0, range(11, 31))
    with connect_admin(cluster.bootstrap) as admin:
        from kafka import TopicPartition

        admin.delete_records({TopicPartition(*at): 25})
    running.service.call(lambda: reader.assign({**reader_positions(running), at: 10})).result(PATIENCE_SECONDS)
    (state,) = failed(running, 0)
    assert state.stopped is Stopped.POSITION
    assert "at 10, log from 25 to 30" in str(state.error)
    write(cluster, 1, range(1, 4))
    running.caught_up(1)


def reader_positions(running: Running) -> dict[tuple[str, int], int]:
    assert running.service._pump is not None
    return {at: cursor.feed.position for at, cursor in running.service._pump.cursors.items()}


def test_partitions_added_to_the_topic_stop_it_whole(cluster: Cluster, tmp_path: Path) -> None:
    write(cluster, 0, range(1, 11))
    running = cluster.start(tmp_path).assign(0, 1).caught_up(0)
    with connect_admin(cluster.bootstrap) as admin:
        admin.create_partitions({cluster.names.behaviours: 3})
    for state in failed(running, 0, 1):
        assert state.stopped is Stopped.OTHER_LOG
        assert "has 3 partitions, store and settings say 2" in str(state.error)
    again = running.assign(0, 1)
    assert {again.service.states()[number].phase for number in (0, 1)} == {Phase.FAILED}


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_open_transaction_is_named_as_what_holds_a_partition_back(
    cluster: Cluster, tmp_path: Path, driver: str
) -> None:
    write(cluster, 0, range(1, 11))
    name = cluster.names.behaviours
    writer = cluster.producer(transactional_id=name)
    writer.begin()
    key, value = encode_behaviour(user_of(0), 11, TIME_MS, 1)
    writer.send(name, key, value, partition=0).result(PATIENCE_SECONDS)
    write(cluster, 0, range(12, 20))
    running = cluster.start(tmp_path, driver).assign(0, 1).caught_up(0)
    until(lambda: running.service.states()[0].logs[name].held_back == 9)
    states = running.service.states()
    assert states[0].ready
    assert states[0].logs[name].lag_messages == 0
    assert states[0].logs[name].held_since_ms is not None
    assert states[1].logs[name].held_back == 0
    writer.commit()
    writer.close()
    running.caught_up(0)
    until(lambda: running.service.states()[0].logs[name].held_since_ms is None)
    assert [item for item, _, _ in running.stored(0)[user_of(0)]] == list(range(1, 20))


def test_facts_are_what_kafka_says(cluster: Cluster) -> None:
    facts = ClusterFacts(cluster.bootstrap)
    found = facts.topics((cluster.names.behaviours, "no-such-topic"))
    assert list(found) == [cluster.names.behaviours]
    assert (len(found[cluster.names.behaviours].topic_id), found[cluster.names.behaviours].partitions) == (22, 2)
    write(cluster, 1, range(1, 4))
    at = (cluster.names.behaviours, 1)
    assert facts.high_watermarks([at]) == {at: 3}
    with connect_admin(cluster.bootstrap) as admin:
        assert facts.cluster_id() == admin.describe_cluster()["cluster_id"]
    facts.close()


def test_another_cluster_at_the_same_address_stops_everything(topics: "TopicNames", tmp_path: Path) -> None:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

    with EmbeddedKafka() as first:
        cluster = Cluster.create(first.bootstrap, topics)
        write(cluster, 0, range(1, 11))
        running = cluster.start(tmp_path).assign(0, 1).caught_up(0)
        first.kill()
        with EmbeddedKafka(port=int(first.bootstrap.rpartition(":")[2])) as second:
            other = Cluster.create(second.bootstrap, topics)
            write(other, 0, range(101, 201))
            for state in failed(running, 0, 1):
                assert state.stopped in (Stopped.OTHER_LOG, Stopped.POSITION), state.error
            assert any("answers" in str(state.error) for state in running.service.states().values())
            assert second.bootstrap == first.bootstrap
            cluster.close()
