"""Ingest over the embedded broker: the stores are what the log says, whatever happens in between."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from muse_stream.streams.wire.encode import encode_behaviour, encode_behaviours
from tests.streams.ingest.cluster import Cluster
from tests.streams.ingest.dump import dump

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka
    from muse_stream.streams.kafka.producer import RecordProducer
    from muse_stream.streams.kafka.topics import TopicNames

pytestmark = pytest.mark.kafka
TIME_MS = 1_700_000_000_000
DRIVERS = ("kafka-python", "confluent")


@pytest.fixture
def cluster(kafka: "EmbeddedKafka", topics: "TopicNames") -> Iterator[Cluster]:
    cluster = Cluster.create(kafka.bootstrap, topics)
    yield cluster
    cluster.close()


def write(cluster: Cluster, producer: "RecordProducer", rows: range, users: int = 50) -> None:
    """Send JSON behaviours: item = row number, user = a fixed pseudo-random choice."""
    chosen = np.random.default_rng(7).integers(1, users + 1, rows.stop)
    pairs = [encode_behaviour(int(chosen[row]), row, TIME_MS + row, row % 6) for row in rows]
    producer.send_many(cluster.names.behaviours, [key for key, _ in pairs], [value for _, value in pairs])


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_stores_hold_what_the_log_says_also_after_a_restart_in_the_middle(
    cluster: Cluster, tmp_path: Path, driver: str
) -> None:
    producer = cluster.producer()
    write(cluster, producer, range(1, 3_000))
    producer.flush(30)
    first = cluster.start(tmp_path, driver).assign(0, 1)
    write(cluster, producer, range(3_000, 4_000))
    first.stop()
    write(cluster, producer, range(4_000, 6_000))
    producer.flush(30)
    second = cluster.start(tmp_path, driver).assign(0, 1).caught_up(0, 1)
    for partition in (0, 1):
        assert second.stored(partition) == cluster.told(partition)
    assert sum(len(history) for history in cluster.told(0).values()) > 1_000
    assert second.service.states()[0].ready
    producer.close()


@pytest.mark.parametrize("driver", DRIVERS)
def test_neighbours_of_poison_are_stored_and_each_reject_is_lettered_once(
    cluster: Cluster, tmp_path: Path, driver: str
) -> None:
    producer = cluster.producer()
    topic = cluster.names.behaviours
    rng = np.random.default_rng(3)
    sent: dict[bytes, int] = {}
    for batch in range(20):
        write(cluster, producer, range(batch * 20 + 1, batch * 20 + 21))
        key = str(int(rng.integers(1, 50))).encode()
        sent[key] = sent.get(key, 0) + 1
        producer.send(topic, key, rng.bytes(30))
    producer.send(topic, None, b"{}", partition=0)
    producer.flush(30)
    running = cluster.start(tmp_path, driver).assign(0, 1).caught_up(0, 1)
    running.stop()
    again = cluster.start(tmp_path / "again", driver).assign(0, 1).caught_up(0, 1)
    for partition in (0, 1):
        records = cluster.records(topic, partition)
        if partition == 0:
            assert records.pop()[0] is None
        good = sum(1 for _, value in records if value is not None and value.startswith(b"{"))
        assert sum(len(history) for history in again.stored(partition).values()) == good
    letters = cluster.letters()
    assert len(letters) == 21
    assert len({(letter["partition"], letter["offset"]) for letter in letters}) == 21
    assert sum(letter["reason"] == "missing_key" for letter in letters) == 1
    producer.close()


def test_aborted_transactions_are_never_stored_and_both_drivers_build_the_same_bytes(
    cluster: Cluster, tmp_path: Path
) -> None:
    producer = cluster.producer(transactional_id=cluster.names.behaviours)
    for number in range(12):
        producer.begin()
        write(cluster, producer, range(number * 30 + 1, number * 30 + 31))
        producer.flush(30)  # what is still in the producer's buffer would be aborted there and never reach the log
        if number % 2:
            producer.abort()
        else:
            producer.commit()
    producer.close()
    dumps = []
    for driver in DRIVERS:
        running = cluster.start(tmp_path / driver, driver, whole=True).assign(0, 1).caught_up(0, 1)
        items = sorted(item for p in (0, 1) for history in running.stored(p).values() for item, _, _ in history)
        assert items == [item for number in range(0, 12, 2) for item in range(number * 30 + 1, number * 30 + 31)]
        running.stop()
        dumps.append([dump(tmp_path / driver / f"behaviours-{partition}") for partition in (0, 1)])
    assert dumps[0] == dumps[1]
    assert len(dumps[0][0]) > 10


@pytest.mark.parametrize("driver", DRIVERS)
def test_frames_and_json_meet_in_one_history(cluster: Cluster, tmp_path: Path, driver: str) -> None:
    producer = cluster.producer()
    columns = np.arange(1, 401, dtype=np.int64)
    for record in encode_behaviours(
        columns % 20 + 1, columns, columns + TIME_MS, (columns % 6).astype(np.uint8), partition_count=2, rows_max=50
    ):
        producer.send(
            cluster.names.behaviours, record.key, record.value, headers=record.headers, partition=record.partition
        )
    producer.flush(30)
    write(cluster, producer, range(1_001, 1_101), users=20)
    producer.flush(30)
    running = cluster.start(tmp_path, driver).assign(0, 1).caught_up(0, 1)
    stored = {**running.stored(0), **running.stored(1)}
    for user, history in stored.items():
        framed = [(item, item + TIME_MS, item % 6) for item in range(1, 401) if item % 20 + 1 == user]
        assert history[: len(framed)] == framed
        assert all(item > 1_000 for item, _, _ in history[len(framed) :])
    assert sum(map(len, stored.values())) == 500
    producer.close()


def test_kill_9_in_mid_stream_loses_and_doubles_nothing(cluster: Cluster, tmp_path: Path) -> None:
    producer = cluster.producer()
    child = Path(__file__).with_name("child.py")
    command = [sys.executable, "-W", "ignore", str(child), cluster.bootstrap, cluster.names.behaviours, str(tmp_path)]
    positions = []
    for kill in range(3):
        write(cluster, producer, range(kill * 4_000 + 1, kill * 4_000 + 4_001))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        positions.append(int(process.stdout.readline()))
        process.kill()
        process.wait(30)
        process.stdout.close()
    producer.flush(30)
    assert 0 < positions[0] <= positions[1] <= positions[2]
    running = cluster.start(tmp_path).assign(0, 1).caught_up(0, 1)
    for partition in (0, 1):
        assert running.stored(partition) == cluster.told(partition)
    producer.close()


def test_two_services_hand_a_partition_over_while_the_log_grows(cluster: Cluster, tmp_path: Path) -> None:
    producer = cluster.producer()
    first = cluster.start(tmp_path / "a").assign(0, 1)
    second = cluster.start(tmp_path / "b").assign()
    for turn in range(4):
        write(cluster, producer, range(turn * 500 + 1, turn * 500 + 501))
        producer.send(cluster.names.behaviours, b"1", b"poison")
        giver, taker = (first, second) if turn % 2 == 0 else (second, first)
        giver.assign(*(() if giver is second else (1,)))
        taker.assign(*((0,) if taker is second else (0, 1)))
    producer.flush(30)
    first.caught_up(0, 1)
    second.assign(0).caught_up(0)
    assert first.stored(0) == second.stored(0) == cluster.told(0)
    assert first.stored(1) == cluster.told(1)
    letters = cluster.letters()
    assert {letter["offset"] for letter in letters if letter["value"] == "cG9pc29u"} == {
        letter["offset"] for letter in letters
    }
    assert len({letter["offset"] for letter in letters}) == 4
    producer.close()
