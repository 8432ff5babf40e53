"""Stores, item tables, engines and the two reading threads, composed from the settings.

Invariant: the vector space served is that of the model in service; every space that the settings name has a table that
fills beside it, and the catalogue holds every feature that they name, so that another model finds what it reads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable, quantise
from muse_stream.state.budget import StoreBudget
from muse_stream.state.items import ItemStore
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.clients import open_producer
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.clients import KafkaLetterSink
from muse_stream.streams.ingest.item_feed import ItemFeed
from muse_stream.streams.ingest.items import ItemReader
from muse_stream.streams.ingest.opening import PartitionParts
from muse_stream.streams.ingest.ports import HistorySink
from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.kafka.consumer import ConsumerOptions, make_consumer
from muse_stream.streams.kafka.facts import ClusterFacts
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.serving.live import Live
from muse_stream.streams.settings import Settings
from muse_stream.streams.settings.sections import TopicSettings
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.items import ItemRules, decode_items
from muse_stream.streams.wire.rejects import Reject
from muse_stream.streams.wire.users import UserRules, decode_users
from muse_stream.streams.worker.restoring import Ended, Restorer
from muse_stream.streams.worker.swapping.engines import Engines
from muse_stream.streams.worker.swapping.slot import Slot

ITEMS_DIRECTORY = "items"


@dataclass(frozen=True, slots=True)
class Log:
    """The topics that stores are built from, as the cluster names them when the worker starts.

    Ingest compares them with what the brokers say later on: a topic that was created again meanwhile stops there.
    """

    topics: TopicSettings
    cluster_id: str
    topic_ids: Mapping[str, str]

    def behaviours(self, partition: int) -> StoreIdentity:
        """What the store of a partition is built from."""
        ids = [self.topic_ids.get(name, "") for name in (self.topics.behaviours, self.topics.users)]
        return StoreIdentity(self.cluster_id, self.topics.behaviours, partition, self.topics.partitions, *ids)

    def items(self) -> StoreIdentity:
        """What the item store is built from."""
        topic = self.topics.items
        return StoreIdentity(self.cluster_id, topic, 0, 1, self.topic_ids.get(topic, ""))


@dataclass(frozen=True, slots=True)
class DataPlane:
    """What a worker holds and how it is kept in step with the log.

    Attributes:
        cluster: Kafka's cluster id.
        serving: The model that answers.
        budget: Memory of the stores.
        tables: Vector tables by space.
        engines: Retrieval in the spaces in use.
        catalogue: Categories and features of items.
        item_store: The local copy of the item log.
        ingest: Keeps the partitions' stores in step.
        items: Keeps the item tables in step.
        item_feed: Where its rows go; holds the gate and the version of the tables.
        letters: Producer of dead letters.
        sink: Takes dead letters from ingest.
        restorer: Restores snapshots; None where it is not to.

    """

    cluster: str
    serving: Slot
    budget: StoreBudget
    tables: dict[str, VectorTable]
    engines: Engines
    catalogue: Catalogue
    item_store: ItemStore
    ingest: IngestService
    items: ItemReader
    item_feed: ItemFeed
    letters: RecordProducer
    sink: KafkaLetterSink
    restorer: Restorer | None = None

    @property
    def live(self) -> Live:
        """What answers now."""
        return self.serving.live

    @property
    def space(self) -> str:
        """The vector space served now."""
        return self.live.space

    @property
    def engine(self) -> GsuEngine:
        """Retrieval in that space."""
        return self.engines.engine(self.live)

    def any_item(self) -> int:
        """An item that has a vector in that space, 0 where none has."""
        return self.tables[self.space].any_item()

    def has_vector(self, item: int) -> bool:
        """Whether an item has one there."""
        _, inverse_norms = self.tables[self.space].lookup(np.array([item], np.int64))
        return bool(inverse_norms[0])

    def start(self) -> None:
        """Begin to read items; partitions follow the assignment."""
        self.items.start()
        self.ingest.start()

    def close(self) -> None:
        """Stop reading and release every directory and connection."""
        if self.restorer:
            self.restorer.close()
        self.ingest.stop()
        self.items.stop()
        self.item_store.close()
        self.sink.close()
        self.letters.close()


def build(
    settings: Settings,
    observe: Callable[[BatchStats], None],
    *,
    committed: Callable[[float], None] = lambda seconds: None,
    restored: Ended = lambda outcome, seconds: None,
    letters_sent: Callable[[Sequence[Reject]], None] = lambda rejects: None,
) -> DataPlane:
    """Open the item store and connect to Kafka; no thread runs yet, and no model serves.

    Args:
        settings: The settings.
        observe: Told of every batch, in the reading threads.
        committed: Told how long each commit of ingest took, in its thread.
        restored: Told how each attempt to restore a snapshot ended, in its thread.
        letters_sent: Told of rejects whose dead letters the broker has, in a thread of theirs.

    Raises:
        KafkaError: The brokers cannot be reached.
        StoreOpenError: The item store cannot be used.

    """
    log = _identify(settings)
    state, index = settings.state, ItemIndex()
    budget = StoreBudget(block_cache_bytes=state.block_cache_bytes, write_buffer_bytes=state.write_buffer_bytes)
    tables = _tables(settings, index)
    catalogue = Catalogue(index, tuple(settings.features.item))
    engines = Engines(tables, catalogue, partial(_engine, settings))
    item_store = ItemStore.open(state.directory / ITEMS_DIRECTORY, log.items(), budget=budget)
    letters = open_producer(settings, client_id=f"{settings.app.name}-dead-letters")
    sink = KafkaLetterSink(letters, settings.topics.dead_letters, letters_sent)
    restorer = _restorer(settings, log, restored)
    ingest = IngestService(
        _partition_parts(settings, log, budget, engines.fan, restorer, lambda: ingest.beat()),  # noqa: PLW0108 - made below
        partial(make_consumer, settings.kafka.driver, behaviour_consumer(settings)),
        sink,
        observe=observe,
        committed=committed,
        sizer=BatchSizer(records_max=settings.ingest.batch_records_max),
        make_facts=partial(_facts, settings),
    )
    rules = ItemRules(spaces=settings.items.spaces, quantise=quantise, features=tuple(settings.features.item))
    feed = ItemFeed(item_store, tables, catalogue, partial(decode_items, rules=rules))
    items = _item_reader(settings, feed, sink, observe, lambda: ingest.serves(0))
    return DataPlane(
        *(log.cluster_id, Slot("live"), budget, tables, engines, catalogue, item_store),
        *(ingest, items, feed, letters, sink, restorer),
    )


def _item_reader(
    settings: Settings,
    feed: ItemFeed,
    sink: KafkaLetterSink,
    observe: Callable[[BatchStats], None],
    emits: Callable[[], bool],
) -> ItemReader:
    return ItemReader(
        settings.topics.items,
        feed,
        partial(make_consumer, "kafka-python", _consumer(settings, "items")),
        sink,
        emits=emits,
        observe=observe,
        make_facts=partial(_facts, settings),
    )


def _tables(settings: Settings, index: ItemIndex) -> dict[str, VectorTable]:
    items = settings.items
    return {name: VectorTable(name, size, index, items.table_budget_bytes) for name, size in items.spaces.items()}


def _engine(settings: Settings, table: VectorTable) -> GsuEngine:
    return GsuEngine(
        table,
        cap=settings.state.cap,
        pool_bytes=settings.engine.pool_bytes,
        packed_bytes=settings.engine.packed_bytes,
        backend=settings.engine.backend,
        threads=settings.engine.threads or None,
        gpu_bytes=settings.engine.gpu_bytes,
    )


def _restorer(settings: Settings, log: Log, ended: Ended) -> Restorer | None:
    wanted = settings.snapshots
    if wanted.location is None or wanted.restore == "never":
        return None
    return Restorer(wanted.location, settings.state.directory, log.behaviours, ended)


def _partition_parts(  # noqa: PLR0917 - the parts of the parts
    settings: Settings,
    log: Log,
    budget: StoreBudget,
    engine: HistorySink,
    restorer: Restorer | None,
    beat: Callable[[], None],
) -> PartitionParts:
    topics, state = settings.topics, settings.state
    rules = Rules(cap=state.cap, duplicate_window=state.duplicate_window, ttl_seconds=state.ttl_seconds)
    behaviour_rules = BehaviourRules(partition_count=topics.partitions, actions=settings.actions)

    def open_store(partition: int, start: int) -> BehaviourStore:
        return BehaviourStore.open(
            state.directory / f"behaviours-{partition}",
            log.behaviours(partition),
            rules,
            budget=budget,
            start_position=start or None,
            beat=beat,
        )

    return PartitionParts(
        behaviours=topics.behaviours,
        users=topics.users,
        open_store=open_store,
        decode_behaviours=partial(decode_behaviours, rules=behaviour_rules),
        decode_users=partial(decode_users, rules=UserRules(partition_count=topics.partitions)),
        engine=engine,
        start_at_log_start=state.start_at_log_start,
        restores=restorer,
    )


def _facts(settings: Settings) -> ClusterFacts:
    return ClusterFacts(settings.kafka.brokers, settings.kafka.security, client_id=f"{settings.app.name}-facts")


def _identify(settings: Settings) -> Log:
    facts = _facts(settings)
    try:
        cluster = facts.cluster_id()
        topics = facts.topics((settings.topics.behaviours, settings.topics.users, settings.topics.items))
    finally:
        facts.close()
    return Log(settings.topics, cluster, {name: found.topic_id for name, found in topics.items()})


def behaviour_consumer(settings: Settings) -> ConsumerOptions:
    """How behaviours and users are read: a fetch waits at the broker for as long as the settings say."""
    return replace(_consumer(settings, "ingest"), fetch_max_wait_ms=settings.ingest.poll_ms)


def _consumer(settings: Settings, purpose: str) -> ConsumerOptions:
    name = f"{settings.app.name}-{purpose}"
    return ConsumerOptions(settings.kafka.brokers, group=name, security=settings.kafka.security, client_id=name)
