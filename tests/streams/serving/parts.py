"""Real parts for the serving tests: a store on disk, an engine, a small seeded model, one catalogue."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from muse_stream.esu_scorer import Artefact, FeatureSpec, Scorer
from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable, quantise
from muse_stream.gsu_engine.quantise import inverse_norms
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.pipeline import Parts, Pipeline
from muse_stream.streams.wire.requests import RequestRules
from muse_stream.streams.wire.users import decode_profile, encode_profile

DIMENSION = 64
ITEMS = 30
PARTITION = 0


@dataclass
class World:
    """One partition with everything that answers need."""

    store: BehaviourStore
    table: VectorTable
    engine: GsuEngine
    catalogue: Catalogue
    scorer: Scorer | None
    version: int = 7
    gone: set[int] = field(default_factory=set)
    damage: list[tuple[int, Exception]] = field(default_factory=list)

    @contextmanager
    def lease(self, partition: int) -> Iterator[BehaviourStore]:
        if partition != PARTITION or partition in self.gone:
            raise PartitionNotHereError(partition, [])
        yield self.store

    @contextmanager
    def items_moment(self) -> Iterator[int]:
        yield self.version

    def live(self) -> Live:
        return Live(self.table.space, self.engine, self.table, self.catalogue, self.scorer)

    def parts(self) -> Parts:
        return Parts(
            lease=self.lease,
            live=self.live,
            inverse_norms=inverse_norms,
            profile=decode_profile,
            items_moment=self.items_moment,
            damaged=lambda partition, error: self.damage.append((partition, error)),
        )

    def pipeline(self) -> Pipeline:
        return Pipeline(self.parts())

    def close_and_open(self, rules: Rules) -> None:
        """Let the store go on with other rules, and the engine with what it has in memory."""
        self.store.close()
        self.store = BehaviourStore.open(self.store.path, self.store.identity, rules)

    def behave(
        self,
        user: int,
        items: list[int],
        *,
        action: int = 4,
        first_time_ms: int = 1_000,
        broker_time_ms: int = 5_000_000,
    ) -> None:
        """Append behaviours one second apart."""
        count, position = len(items), self.store.position
        batch = BehaviourBatch(
            user=np.full(count, user, np.int64),
            item=np.array(items, np.int64),
            time_ms=first_time_ms + 1_000 * np.arange(count),
            action=np.full(count, action, np.uint8),
            category=np.zeros(count, np.int64),
            event_id=np.zeros(count, np.uint64),
            broker_time_ms=np.full(count, broker_time_ms, np.int64),
            offset=position + np.arange(count),
            erase=np.zeros(count, np.bool_),
        )
        appended = self.store.append(batch, position=position + count)
        self.engine.append(appended.users, appended.starts, appended.bounds, appended.behaviours["item"].copy())


def make_world(directory: Path, *, backend: str = "reference", seed: int = 3) -> World:
    """Items 1..30 with vectors (but 30 without), category = item % 5 + 1, one user feature."""
    random = np.random.default_rng(seed)
    index = ItemIndex(max_items=1_000)
    table = VectorTable("v1", DIMENSION, index, budget_bytes=1 << 20)
    items = np.arange(1, ITEMS + 1)
    table.put(items[:-1], random.integers(-127, 128, (ITEMS - 1, DIMENSION), np.int8))
    catalogue = Catalogue(index, ("price",))
    catalogue.put(items, items % 5 + 1, (items % 3 + 1)[:, np.newaxis])
    store = BehaviourStore.open(directory / "store", StoreIdentity("test", "behaviours", 0, 1), Rules())
    store.put_users(np.array([1], np.int64), [encode_profile({"country": 11})], position=1)
    spec = FeatureSpec.of({"item": 4, "category": 4, "price": 4}, {"country": 4})
    vocabularies = {"item": items, "category": np.arange(1, 6), "price": np.arange(1, 4), "country": np.arange(10, 13)}
    artefact = Artefact.untrained(spec, vocabularies, seed=seed, space="v1")
    return World(store, table, GsuEngine(table, backend=backend), catalogue, Scorer(artefact))


def rules() -> RequestRules:
    return RequestRules(partition_count=1, spaces={"v1": DIMENSION}, quantise=quantise)
