"""The audit over a real broker: aborted transactions, both formats, stores of a running and of a stopped worker."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from muse_stream.streams.audit.log import Log
from muse_stream.streams.audit.report import PartitionReport
from muse_stream.streams.audit.run import audit_store
from muse_stream.streams.kafka import consumer_python
from muse_stream.streams.kafka.security import Security
from muse_stream.streams.wire.encode import encode_behaviour, encode_behaviours
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS
from tests.streams.ingest.cluster import Cluster

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka
    from muse_stream.streams.kafka.producer import RecordProducer
    from muse_stream.streams.kafka.topics import TopicNames

pytestmark = pytest.mark.kafka
TIME_MS = 1_700_000_000_000


@pytest.fixture
def cluster(kafka: "EmbeddedKafka", topics: "TopicNames") -> Iterator[Cluster]:
    cluster = Cluster.create(kafka.bootstrap, topics)
    yield cluster
    cluster.close()


@pytest.fixture
def log(cluster: Cluster) -> Iterator[Log]:
    with closing(Log(cluster.bootstrap, Security())) as log:
        yield log


def behave(cluster: Cluster, producer: "RecordProducer", rows: range) -> None:
    """JSON behaviours of twenty users; every third is sent twice."""
    for row in rows:
        event_id = str(row) if row % 3 == 0 else None
        key, value = encode_behaviour(row % 20 + 1, row, TIME_MS + row, row % 6, event_id=event_id)
        for _ in range(2 if event_id else 1):
            producer.send(cluster.names.behaviours, key, value)


def everything(cluster: Cluster) -> None:
    """Transactions, every second one aborted; frames; poison; an erasure."""
    producer = cluster.producer(transactional_id=cluster.names.behaviours)
    for number in range(6):
        producer.begin()
        behave(cluster, producer, range(number * 50 + 1, number * 50 + 51))
        producer.flush(30)
        if number % 2:
            producer.abort()
        else:
            producer.commit()
    producer.close()
    producer = cluster.producer()
    columns = np.arange(1, 201)
    rows = (columns % 20 + 1, columns, columns + TIME_MS, (columns % 6).astype(np.uint8))
    for one in encode_behaviours(*rows, partition_count=2):
        producer.send(cluster.names.behaviours, one.key, one.value, headers=one.headers, partition=one.partition)
    producer.send(cluster.names.behaviours, b"3", None)
    producer.send(cluster.names.behaviours, b"4", b"poison")
    producer.flush(30)
    producer.close()


def audited(log: Log, path: Path) -> list[PartitionReport]:
    told: list[tuple[int, int]] = []
    found = [
        audit_store(path / f"behaviours-{partition}", log, DEFAULT_ACTIONS, lambda *at: told.append(at))
        for partition in (0, 1)
    ]
    assert all(0 < done <= total for done, total in told)
    return found


def test_stores_are_equal_while_they_run_and_after(cluster: Cluster, log: Log, tmp_path: Path) -> None:
    everything(cluster)
    running = cluster.start(tmp_path).assign(0, 1).caught_up(0, 1)
    found = audited(log, tmp_path)
    running.stop()
    assert audited(log, tmp_path) == found
    for report in found:
        assert report.ok, report.shown
        assert report.compared == "whole"
        assert log.bounds(cluster.names.behaviours, report.partition) == (0, report.position)
    assert sum(one.counts.behaviours for one in found) == 3 * 50 + 200
    assert sum(one.counts.duplicates for one in found) == 50
    assert sum(one.counts.rejected for one in found) == 1
    assert sum(one.users for one in found) == 20


def test_a_worker_that_is_not_read_committed_is_found(
    cluster: Cluster, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = consumer_python._connect

    def uncommitted(options: Any, more: dict[str, object]) -> Any:
        return connect(options, {**more, "isolation_level": "read_uncommitted"})

    monkeypatch.setattr(consumer_python, "_connect", uncommitted)
    everything(cluster)
    cluster.start(tmp_path).assign(0, 1).caught_up(0, 1).stop()
    found = audited(log, tmp_path)
    assert all(report.doubled > 0 for report in found), found
    assert sum(report.doubled for report in found) == 3 * 50
