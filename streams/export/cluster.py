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

from muse_stream.gsu_engine import GsuEngine, quantise
from muse_stream.state.budget import StoreBudget
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.streams.clients import open_admin
from muse_stream.streams.errors import ExportError
from muse_stream.streams.export.items import ItemsPast, ItemTables
from muse_stream.streams.export.past import Codecs, Horizon, LogPast, Past, Pasts, Profiles, scratch_store
from muse_stream.streams.export.sampler import Sampler, Shape
from muse_stream.streams.export.stored import StorePast
from muse_stream.streams.export.tape import TapeReader, Tapes
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
class Setting:
    """What worlds are made of.

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

    def identity(self, partition: int) -> StoreIdentity:
        """The log of a partition's scratch store."""
        topics = self.settings.topics
        return StoreIdentity(self.cluster.identity, topics.behaviours, partition, topics.partitions)


class ClusterWorld:
    """One sweep's world over the real logs; `close` it.

    Attributes:
        items: The items log.
        pasts: Partitions.
        sampler: Computes samples.
        now_ms: The time at which the logs' ends were read.

    """

    def __init__(self, setting: Setting, reader: TapeReader) -> None:
        self._setting, self._reader = setting, reader
        self._scratch = tempfile.TemporaryDirectory(prefix="muse-export-")
        settings, topics = setting.settings, setting.settings.topics
        self.now_ms = int(time.time() * 1e3)
        wanted = [(topics.items, 0), *((topics.users, number) for number in setting.partitions)]
        wanted += [(topics.behaviours, number) for number in setting.partitions if setting.origin == "log"]
        self.tapes = Tapes(reader, wanted)
        self._budget = StoreBudget(settings.state.block_cache_bytes, settings.state.write_buffer_bytes)
        tables = _tables(settings, setting.shape)
        decode = partial(decode_items, rules=ItemRules(settings.items.spaces, quantise, tuple(settings.features.item)))
        self.items = ItemsPast(tables, self.tapes[topics.items, 0], decode, setting.cluster.horizons[topics.items])
        self.pasts = Pasts(self._past)
        self.sampler = Sampler(tables, _engine(settings, tables), setting.shape, setting.length)

    def close(self) -> None:
        """Close the scratch stores and remove them."""
        with self._scratch:
            self.pasts.close()

    def _past(self, partition: int) -> Past:
        setting, settings = self._setting, self._setting.settings
        topics, state = settings.topics, settings.state
        rules = Rules(cap=state.cap, duplicate_window=state.duplicate_window, ttl_seconds=state.ttl_seconds)
        store = scratch_store(Path(self._scratch.name), setting.identity(partition), rules, self._budget)
        users, horizon = self.tapes[topics.users, partition], setting.cluster.horizons[topics.users]
        user_rules = UserRules(partition_count=topics.partitions)
        codecs = Codecs(
            partial(decode_behaviours, rules=BehaviourRules(topics.partitions, settings.actions)),
            partial(decode_users, rules=user_rules),
        )
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


def _tables(settings: Settings, shape: Shape) -> ItemTables:
    if shape.space not in settings.items.spaces:
        message = (
            f"the model reads vectors of space {shape.space!r}, the settings have {', '.join(settings.items.spaces)}"
        )
        raise ExportError(message + "; add it to items.spaces")
    features, budget = shape.spec.candidate_names[2:], settings.items.table_budget_bytes
    return ItemTables.of(shape.space, settings.items.spaces[shape.space], features, budget)


def _engine(settings: Settings, tables: ItemTables) -> GsuEngine:
    engine = settings.engine
    return GsuEngine(
        tables.vectors,
        cap=settings.state.cap,
        pool_bytes=engine.pool_bytes,
        packed_bytes=0,
        backend=engine.backend,
        threads=engine.threads or None,
        gpu_bytes=engine.gpu_bytes,
    )
