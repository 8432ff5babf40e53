"""Stores, item tables, engine and the two reading threads, composed from the settings.

Invariant: the vector space served is that of the model; every space that the settings name has a table that fills
beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.kafka.admin import cluster_id, connect_admin
from muse_stream.streams.kafka.consumer import ConsumerOptions, make_consumer
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.items import ItemRules, decode_items
from muse_stream.streams.wire.users import UserRules, decode_users

ITEMS_DIRECTORY = "items"


@dataclass(frozen=True, slots=True)
class DataPlane:
    """What a worker holds and how it is kept in step with the log.

    Attributes:
        cluster: Kafka's cluster id.
        space: The vector space served.
        budget: Memory of the stores.
        tables: Vector tables by space.
        engine: Retrieval in the served space.
        catalogue: Categories and features of items.
        item_store: The local copy of the item log.
        ingest: Keeps the partitions' stores in step.
        items: Keeps the item tables in step.
        item_feed: Where its rows go; holds the gate and the version of the tables.
        letters: Producer of dead letters.
        sink: Takes dead letters from ingest.

    """

    cluster: str
    space: str
    budget: StoreBudget
    tables: dict[str, VectorTable]
    engine: GsuEngine
    catalogue: Catalogue
    item_store: ItemStore
    ingest: IngestService
    items: ItemReader
    item_feed: ItemFeed
    letters: RecordProducer
    sink: KafkaLetterSink

    def start(self) -> None:
        """Begin to read items; partitions follow the assignment."""
        self.items.start()
        self.ingest.start()

    def close(self) -> None:
        """Stop reading and release every directory and connection."""
        self.ingest.stop()
        self.items.stop()
        self.item_store.close()
        self.sink.close()
        self.letters.close()


def build(
    settings: Settings, space: str, item_features: tuple[str, ...], observe: Callable[[BatchStats], None]
) -> DataPlane:
    """Open the item store and connect to Kafka; no thread runs yet.

    Args:
        settings: The settings.
        space: The vector space to serve.
        item_features: Features of items that the model reads, beside item and category.
        observe: Told of every batch, in the reading threads.

    Raises:
        KafkaError: The brokers cannot be reached.
        StoreOpenError: The item store cannot be used.

    """
    cluster = _cluster(settings)
    budget = StoreBudget(
        block_cache_bytes=settings.state.block_cache_bytes, write_buffer_bytes=settings.state.write_buffer_bytes
    )
    index = ItemIndex()
    tables = {
        name: VectorTable(name, dimension, index, settings.items.table_budget_bytes)
        for name, dimension in settings.items.spaces.items()
    }
    engine = GsuEngine(
        tables[space],
        cap=settings.state.cap,
        pool_bytes=settings.engine.pool_bytes,
        backend=settings.engine.backend,
        threads=settings.engine.threads or None,
    )
    catalogue = Catalogue(index, item_features)
    item_store = ItemStore.open(
        settings.state.directory / ITEMS_DIRECTORY,
        _identity(settings, cluster, settings.topics.items, 0, 1),
        budget=budget,
    )
    letters = open_producer(settings, client_id=f"{settings.app.name}-dead-letters")
    sink = KafkaLetterSink(letters, settings.topics.dead_letters)
    ingest = IngestService(
        _partition_parts(settings, cluster, budget, engine),
        partial(make_consumer, settings.kafka.driver, _consumer(settings, "ingest")),
        sink,
        observe=observe,
        sizer=BatchSizer(records_max=settings.ingest.batch_records_max),
        poll_seconds=settings.ingest.poll_ms / 1e3,
    )
    rules = ItemRules(spaces=settings.items.spaces, quantise=quantise, features=tuple(settings.features.item))
    feed = ItemFeed(item_store, tables, catalogue, partial(decode_items, rules=rules))
    items = ItemReader(
        settings.topics.items,
        feed,
        partial(make_consumer, "kafka-python", _consumer(settings, "items")),
        sink,
        emits=lambda: ingest.serves(0),
        observe=observe,
    )
    return DataPlane(cluster, space, budget, tables, engine, catalogue, item_store, ingest, items, feed, letters, sink)


def _partition_parts(settings: Settings, cluster: str, budget: StoreBudget, engine: GsuEngine) -> PartitionParts:
    topics, state = settings.topics, settings.state
    rules = Rules(cap=state.cap, duplicate_window=state.duplicate_window, ttl_ms=state.ttl_ms)
    behaviour_rules = BehaviourRules(partition_count=topics.partitions, actions=settings.actions)

    def open_store(partition: int, start: int) -> BehaviourStore:
        return BehaviourStore.open(
            state.directory / f"behaviours-{partition}",
            _identity(settings, cluster, topics.behaviours, partition, topics.partitions),
            rules,
            budget=budget,
            start_position=start or None,
        )

    return PartitionParts(
        behaviours=topics.behaviours,
        users=topics.users,
        open_store=open_store,
        decode_behaviours=partial(decode_behaviours, rules=behaviour_rules),
        decode_users=partial(decode_users, rules=UserRules(partition_count=topics.partitions)),
        engine=engine,
        start_at_log_start=state.start_at_log_start,
    )


def _identity(settings: Settings, cluster: str, topic: str, partition: int, count: int) -> StoreIdentity:
    return StoreIdentity(cluster_id=cluster, topic=topic, partition=partition, partition_count=count)


def _cluster(settings: Settings) -> str:
    with connect_admin(settings.kafka.brokers, settings.kafka.security) as admin:
        return cluster_id(admin)


def _consumer(settings: Settings, purpose: str) -> ConsumerOptions:
    name = f"{settings.app.name}-{purpose}"
    return ConsumerOptions(settings.kafka.brokers, group=name, security=settings.kafka.security, client_id=name)
