"""Ingest over a real broker: topics of one's own, writers, services, and a plain reading of the log to compare with."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import numpy as np

from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.ingest.clients import KafkaLetterSink
from muse_stream.streams.ingest.opening import PartitionParts
from muse_stream.streams.ingest.ports import LogReader
from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats, Phase
from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.consumer import BatchConsumer, ConsumerOptions, make_consumer
from muse_stream.streams.kafka.facts import ClusterFacts
from muse_stream.streams.kafka.producer import ProducerOptions, RecordProducer, make_producer
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.users import UserRules, decode_users
from tests.streams.ingest.fakes import BUDGET, FakeEngine

if TYPE_CHECKING:
    from muse_stream.streams.kafka.topics import TopicNames

PATIENCE_SECONDS = 60.0
Told = tuple[int, int, int]
"""Item, time and action, as the log says them."""


@dataclass
class Cluster:
    """One test's topics on the session's broker."""

    bootstrap: str
    names: "TopicNames"
    partitions: int
    running: list["Running"] = field(default_factory=list)

    @classmethod
    def create(cls, bootstrap: str, names: "TopicNames", partitions: int = 2) -> "Cluster":
        counts = {names.behaviours: partitions, names.users: partitions, names.dead_letters: 1}
        with connect_admin(bootstrap) as admin:
            admin.create_topics(
                {
                    name: {"num_partitions": count, "configs": {"message.timestamp.type": "LogAppendTime"}}
                    for name, count in counts.items()
                },
                wait_for_metadata=True,
            )
        return cls(bootstrap, names, partitions)

    def producer(self, transactional_id: str | None = None) -> RecordProducer:
        options = ProducerOptions(self.bootstrap, transactional_id=transactional_id)
        return make_producer("kafka-python", options)

    def identity(self) -> StoreIdentity:
        """What a worker that starts now takes partition 0 for."""
        facts = ClusterFacts(self.bootstrap)
        behaviours, users = self.names.behaviours, self.names.users
        topics, cluster = facts.topics((behaviours, users)), facts.cluster_id()
        facts.close()
        ids = [topics[name].topic_id for name in (behaviours, users)]
        return StoreIdentity(cluster, behaviours, 0, self.partitions, *ids)

    def start(
        self, directory: Path, driver: str = "kafka-python", *, whole: bool = False, sizer: BatchSizer | None = None
    ) -> "Running":
        """Run a service; `whole` gives it each partition's log in one batch, whatever the driver's polls are."""
        running = Running(self, directory, driver, sizer, whole=whole)
        self.running.append(running)
        return running

    def close(self) -> None:
        for running in self.running:
            running.stop()

    def records(self, topic: str, partition: int) -> list[tuple[bytes | None, bytes | None]]:
        """Key and value of every committed record, read by a consumer of the tests' own."""
        consumer = make_consumer("kafka-python", ConsumerOptions(self.bootstrap))
        at = (topic, partition)
        end = consumer.end_offsets([at])[at]
        consumer.assign({at: 0})
        found: list[tuple[bytes | None, bytes | None]] = []
        while consumer.positions()[at] < end:
            for batch in consumer.poll(1_000, 500):
                found += zip(batch.keys, batch.values, strict=True)
        consumer.close()
        return found

    def told(self, partition: int) -> dict[int, list[Told]]:
        """What the log says of every user, by a plain reading of its JSON; what is not JSON is skipped."""
        histories: dict[int, list[Told]] = defaultdict(list)
        for key, value in self.records(self.names.behaviours, partition):
            assert key is not None
            if value is None:
                histories[int(key)].clear()
                continue
            try:
                row = json.loads(value)
            except ValueError:
                continue
            histories[int(key)].append((row["item"], row["time_ms"], row["action"]))
        return {user: history for user, history in histories.items() if history}

    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(value or b"") for _, value in self.records(self.names.dead_letters, 0)]


class WholeLogs:
    """A consumer whose first poll gives each partition's log in one batch: what is stored then has one byte form."""

    def __init__(self, consumer: BatchConsumer) -> None:
        self._consumer = consumer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        batches = self._consumer.poll(max_records, timeout_ms)
        if not batches:
            return []
        ends = self._consumer.end_offsets(self._consumer.positions())
        while self._consumer.positions() != ends:
            batches += self._consumer.poll(max_records, timeout_ms)
        places = {(batch.topic, batch.partition) for batch in batches}
        return [merge([batch for batch in batches if (batch.topic, batch.partition) == at]) for at in sorted(places)]


def merge(batches: list[RecordBatch]) -> RecordBatch:
    """Batches of one partition, end to end."""
    return RecordBatch(
        topic=batches[0].topic,
        partition=batches[0].partition,
        keys=[key for batch in batches for key in batch.keys],
        values=[value for batch in batches for value in batch.values],
        headers=[headers for batch in batches for headers in batch.headers],
        offset=np.concatenate([batch.offset for batch in batches]),
        broker_time_ms=np.concatenate([batch.broker_time_ms for batch in batches]),
        next_offset=batches[-1].next_offset,
    )


class Running:
    """A running ingest service on real clients."""

    def __init__(
        self, cluster: Cluster, directory: Path, driver: str, sizer: BatchSizer | None, *, whole: bool
    ) -> None:
        self.cluster, self.directory, self.engine = cluster, directory, FakeEngine()
        self.stats: list[BatchStats] = []
        self._producer = cluster.producer()
        self._sink = KafkaLetterSink(self._producer, cluster.names.dead_letters)
        options = ConsumerOptions(cluster.bootstrap, group=f"{cluster.names.behaviours}-ingest")
        count = cluster.partitions
        parts = PartitionParts(
            behaviours=cluster.names.behaviours,
            users=cluster.names.users,
            open_store=self._open,
            decode_behaviours=partial(decode_behaviours, rules=BehaviourRules(partition_count=count)),
            decode_users=partial(decode_users, rules=UserRules(partition_count=count)),
            engine=self.engine,
        )

        def make() -> LogReader:
            consumer = make_consumer(driver, options)
            return WholeLogs(consumer) if whole else consumer

        self.identity = cluster.identity()
        self.service = IngestService(
            parts,
            make,
            self._sink,
            observe=self.stats.append,
            sizer=sizer,
            make_facts=lambda: ClusterFacts(cluster.bootstrap),
        )
        self.service.start()

    def _open(self, partition: int, start: int) -> BehaviourStore:
        path = self.directory / f"behaviours-{partition}"
        return BehaviourStore.open(
            path, replace(self.identity, partition=partition), Rules(), budget=BUDGET, start_position=start or None
        )

    def assign(self, *serving: int, standby: Iterable[int] = ()) -> "Running":
        self.service.assign(serving, standby).result(PATIENCE_SECONDS)
        return self

    def caught_up(self, *partitions: int) -> "Running":
        """Wait until these partitions have all that is in the log now."""
        topic = self.cluster.names.behaviours
        consumer = make_consumer("kafka-python", ConsumerOptions(self.cluster.bootstrap))
        ends = consumer.end_offsets([(topic, partition) for partition in partitions])
        consumer.close()
        until(lambda: all(self.position(partition) >= ends[topic, partition] for partition in partitions))
        return self

    def position(self, partition: int) -> int:
        state = self.service.states()[partition]
        assert state.phase is not Phase.FAILED, state.error
        return state.logs[self.cluster.names.behaviours].position if state.logs else -1

    def stored(self, partition: int) -> dict[int, list[Told]]:
        with self.service.stores.lease(partition) as store, store.moment() as moment:
            rows = {int(user): moment.sequence(int(user)).rows for user in moment.users()}
        return {
            user: list(zip(*(found[name].tolist() for name in ("item", "time_ms", "action")), strict=True))
            for user, found in rows.items()
            if len(found)
        }

    def stop(self) -> None:
        self.service.stop()
        self._sink.close()
        self._producer.close()


def until(condition: Any) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.01)
