"""What an export reads, made out of the settings: the cluster's logs, a worker's stores, the model's shape.

Invariant: nothing is changed: logs are read without a group, stores read-only; scratch stores lie in a temporary
directory that goes with the world.
"""

import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from muse_stream.gsu_engine import GsuEngine, VectorTable, quantise
from muse_stream.state.budget import StoreBudget
from muse_stream.state.item_chunks import ItemBatch
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.streams.clients import open_admin
from muse_stream.streams.errors import ExportError
from muse_stream.streams.export.items import ItemsPast, ItemTables
from muse_stream.streams.export.past import Codecs, Horizon, LogPast, Past, Pasts, Profiles, scratch_store
from muse_stream.streams.export.sampler import Sampler, Shape
from muse_stream.streams.export.stored import StorePast
from muse_stream.streams.export.tape import TapeReader, Tapes
from muse_stream.streams.ingest.ports import Decode
from muse_stream.streams.kafka.admin import cluster_id
from muse_stream.streams.kafka.consumer import BatchConsumer, ConsumerOptions, make_consumer
from muse_stream.streams.kafka.topic_admin import topic_configs
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.items import ItemRules, decode_items
from muse_stream.streams.wire.users import UserRules, decode_users
from muse_stream.streams.worker.model import artefact_of

Origin = Literal["log", "stores"]
CLIENT = "muse-stream-export"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is asked of the brokers once: the cluster's id, and how far compaction can have reached by topic."""

    identity: str
    horizons: Mapping[str, Horizon]

    @classmethod
    def ask(cls, settings: Settings) -> "Cluster":
        """Ask. Raises `UnreachableError`."""
        names = (settings.topics.users, settings.topics.items)
        with open_admin(settings) as admin:
            configs = topic_configs(admin, names)
            return cls(cluster_id(admin), {name: horizon_of(configs[name], time.time() * 1e3) for name in names})


def horizon_of(config: Mapping[str, str], now_ms: float) -> Horizon:
    """What the settings of a topic say of what may be gone."""
    lag_ms = int(config.get("min.compaction.lag.ms") or 0)
    return Horizon("compact" in config.get("cleanup.policy", ""), int(now_ms) - lag_ms)


def shape_of(settings: Settings) -> Shape:
    """What the model of the settings reads. Raises `ArtefactError`."""
    artefact = artefact_of(settings)
    manifest = artefact.manifest
    return Shape(artefact.spec, manifest.k, manifest.r, manifest.space)


@dataclass(frozen=True, slots=True)
class LogSetting:
    """What a world of logs is made of.

    Attributes:
        settings: Name the cluster, topics, rules and memory.
        cluster: What the brokers said.
        origin: Where behaviours come from.
        partitions: Partitions of behaviours that are needed.

    """

    settings: Settings
    cluster: Cluster
    origin: Origin
    partitions: tuple[int, ...]

    def identity(self, partition: int) -> StoreIdentity:
        """The log of a partition's scratch store."""
        topics = self.settings.topics
        return StoreIdentity(self.cluster.identity, topics.behaviours, partition, topics.partitions)


@dataclass(frozen=True, slots=True)
class Setting:
    """What an export's worlds are made of.

    Attributes:
        settings: Name the cluster, topics, rules and memory.
        shape: What the model reads.
        cluster: What the brokers said.
        origin: Where behaviours come from.
        length: Newest behaviours that come along with a sample.
        partitions: Partitions of behaviours that impressions need.

    """

    settings: Settings
    shape: Shape
    cluster: Cluster
    origin: Origin
    length: int
    partitions: tuple[int, ...]

    @property
    def logs(self) -> LogSetting:
        """The part that says which logs."""
        return LogSetting(self.settings, self.cluster, self.origin, self.partitions)


class LogWorld:
    """The real logs, up to one moment after the other; `close` it.

    Attributes:
        items: The items log.
        pasts: Partitions.
        now_ms: The time at which the logs' ends were read.

    """

    def __init__(self, setting: LogSetting, tables: ItemTables, reader: TapeReader) -> None:
        self._setting, self._reader = setting, reader
        self._scratch = tempfile.TemporaryDirectory(prefix="muse-replay-")
        settings, topics = setting.settings, setting.settings.topics
        self.now_ms = int(time.time() * 1e3)
        wanted = [(topics.items, 0), *((topics.users, number) for number in setting.partitions)]
        wanted += [(topics.behaviours, number) for number in setting.partitions if setting.origin == "log"]
        self.tapes = Tapes(reader, wanted)
        self._budget = StoreBudget(settings.state.block_cache_bytes, settings.state.write_buffer_bytes)
        self.items = ItemsPast(
            tables, self.tapes[topics.items, 0], item_codec(settings), setting.cluster.horizons[topics.items]
        )
        self.pasts = Pasts(self._past)

    def close(self) -> None:
        """Close the scratch stores and remove them."""
        with self._scratch:
            self.pasts.close()

    def _past(self, partition: int) -> Past:
        setting, settings = self._setting, self._setting.settings
        topics = settings.topics
        store = scratch_store(
            Path(self._scratch.name), setting.identity(partition), store_rules(settings), self._budget
        )
        users, horizon = self.tapes[topics.users, partition], setting.cluster.horizons[topics.users]
        codecs = codecs_of(settings)
        if setting.origin == "log":
            return LogPast(store, self.tapes[topics.behaviours, partition], users, codecs, horizon)
        at = (topics.behaviours, partition)
        end = self._reader.end_offsets([at])[at]
        return StorePast(self._stored(partition), store, Profiles(store, users, codecs.users, horizon), end)

    def _stored(self, partition: int) -> StoreReader:
        settings = self._setting.settings
        path = settings.state.directory / f"behaviours-{partition}"
        if not path.is_dir():
            message = f"{path} is not there; name the directory that has all stores with --data-dir, or use --from log"
            raise ExportError(message)
        reader = StoreReader.open(path)
        if reader.identity.cluster_id != self._setting.cluster.identity:
            found = f"{path} was built from cluster {reader.identity.cluster_id}"
            reader.close()
            message = f"{found}, {settings.kafka.brokers} is {self._setting.cluster.identity}; name its brokers"
            raise ExportError(message)
        return reader


class ClusterWorld(LogWorld):
    """One sweep's world of an export.

    Attributes:
        sampler: Computes samples.

    """

    def __init__(self, setting: Setting, reader: TapeReader) -> None:
        tables = _tables(setting.settings, setting.shape)
        super().__init__(setting.logs, tables, reader)
        engine = engine_of(setting.settings, tables.spaces[setting.shape.space])
        self.sampler = Sampler(tables, engine, setting.shape, setting.length)


class Worlds:
    """Opens a world per sweep, over one connection; close it."""

    def __init__(self, setting: Setting) -> None:
        """Connect. Raises `UnreachableError`."""
        self._setting, self._reader = setting, open_reader(setting.settings)
        self._opened: list[ItemsPast] = []

    @property
    def without_room(self) -> int:
        """Vectors that found no room in the worlds so far."""
        return max((items.refused for items in self._opened), default=0)

    def __call__(self) -> ClusterWorld:
        """A new world in a new scratch directory."""
        world = ClusterWorld(self._setting, self._reader)
        self._opened.append(world.items)
        return world

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()


def open_reader(settings: Settings) -> BatchConsumer:
    """A consumer of whole logs. Raises `UnreachableError`."""
    options = ConsumerOptions(settings.kafka.brokers, security=settings.kafka.security, client_id=CLIENT)
    return make_consumer(settings.kafka.driver, options)


def partitions_of(partitions: Iterable[int]) -> tuple[int, ...]:
    """Distinct partitions, ascending, reserved users' left out."""
    return tuple(sorted({number for number in partitions if number >= 0}))


def store_rules(settings: Settings) -> Rules:
    """The rules of a worker's stores."""
    state = settings.state
    return Rules(cap=state.cap, duplicate_window=state.duplicate_window, ttl_seconds=state.ttl_seconds)


def codecs_of(settings: Settings) -> Codecs:
    """A worker's decoding of behaviours and users."""
    count = settings.topics.partitions
    return Codecs(
        partial(decode_behaviours, rules=BehaviourRules(count, settings.actions)),
        partial(decode_users, rules=UserRules(partition_count=count)),
    )


def item_codec(settings: Settings) -> Decode[ItemBatch]:
    """A worker's decoding of items."""
    rules = ItemRules(settings.items.spaces, quantise, tuple(settings.features.item))
    return partial(decode_items, rules=rules)


def _tables(settings: Settings, shape: Shape) -> ItemTables:
    if shape.space not in settings.items.spaces:
        message = (
            f"the model reads vectors of space {shape.space!r}, the settings have {', '.join(settings.items.spaces)}"
        )
        raise ExportError(message + "; add it to items.spaces")
    features, budget = shape.spec.candidate_names[2:], settings.items.table_budget_bytes
    return ItemTables.of({shape.space: settings.items.spaces[shape.space]}, features, budget)


def engine_of(settings: Settings, vectors: VectorTable) -> GsuEngine:
    """The worker's engine over one space's vectors, without packed rows."""
    engine = settings.engine
    return GsuEngine(
        vectors,
        cap=settings.state.cap,
        pool_bytes=engine.pool_bytes,
        packed_bytes=0,
        backend=engine.backend,
        threads=engine.threads or None,
        gpu_bytes=engine.gpu_bytes,
    )
