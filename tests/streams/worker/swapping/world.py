"""Real small parts around a slot: a store, two vector spaces, artefacts on disk, a pipeline, one keeper."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import Artefact, FeatureSpec, Scorer, ServedModel, load_model
from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable
from muse_stream.gsu_engine.quantise import inverse_norms
from muse_stream.monitoring import Metrics
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.feeds import BehaviourFeed
from muse_stream.streams.ingest.stores import StoreMap
from muse_stream.streams.serving.pipeline import Ask, Found, Parts, Pipeline
from muse_stream.streams.wire.users import decode_profile
from muse_stream.streams.worker.swapping.attempt import Means
from muse_stream.streams.worker.swapping.checks import Expected
from muse_stream.streams.worker.swapping.engines import Engines
from muse_stream.streams.worker.swapping.keeper import Keeper
from muse_stream.streams.worker.swapping.rehearsal import Captured
from muse_stream.streams.worker.swapping.slot import Slot
from muse_stream.streams.worker.swapping.target import Target
from tests.streams.serving.parts import DIMENSION, PARTITION

ITEMS = 60
SPACES = ("v1", "v2")
K, R = 5, 4


def spec(*item_features: str) -> FeatureSpec:
    """Item, category and these; one user feature."""
    return FeatureSpec.of(dict.fromkeys(("item", "category", *item_features), 4), {"country": 4})


def artefact(space: str, seed: int, *item_features: str, k: int = K) -> Artefact:
    """A seeded model; its version names its space and seed."""
    features = spec(*(item_features or ("price", "band")))
    known = {name: np.arange(1, ITEMS + 1) for name in ("item", "category", "price", "band", "country")}
    vocabularies = {name: known[name] for name in (*features.candidate_names, *features.user_names)}
    plain = Artefact.untrained(features, vocabularies, seed=seed, space=space)
    model, lookups = plain.model(), {name: plain.vocabulary(name) for name in vocabularies}
    return Artefact.from_model(model, lookups, space=space, version=f"{space}-{seed}", trained=True, k=k, r=R)


@dataclass
class World:
    """One partition, two spaces, a slot that answers and one for a shadow."""

    directory: Path
    store: BehaviourStore
    stores: StoreMap[BehaviourStore]
    tables: dict[str, VectorTable]
    catalogue: Catalogue
    engines: Engines
    vectors: dict[str, NDArray[np.int8]]
    metrics: Metrics
    live: Slot = field(default_factory=lambda: Slot("live"))
    shadow: Slot = field(default_factory=lambda: Slot("shadow"))
    captured: Captured = field(default_factory=Captured)
    fetched: list[str] = field(default_factory=list)
    coverage_min: float = 0.99
    before_fetch: Callable[[str], None] = lambda name: None
    loaded: Callable[[ServedModel], ServedModel] = lambda model: model
    keepers: list[Keeper] = field(default_factory=list)

    def parts(self) -> Parts:
        return Parts(
            lease=self.stores.lease,
            live=lambda: self.live.live,
            inverse_norms=inverse_norms,
            profile=decode_profile,
            items_moment=self.items_moment,
        )

    @contextmanager
    def items_moment(self) -> Iterator[int]:
        yield 7

    def means(self) -> Means:
        return Means(
            fetch=self.fetch,
            load=lambda path: self.loaded(load_model(path, device="cpu")),
            expected=Expected(SPACES, ("price", "band"), ("country",)),
            engines=self.engines,
            parts=self.parts(),
            stores=self.stores,
            served=lambda: self.live.live,
            captured=self.captured,
            coverage_min=self.coverage_min,
            warm_kernels=lambda dimension: None,
        )

    def fetch(self, name: str, digest: str) -> Path:
        self.fetched.append(name)
        self.before_fetch(name)
        return self.directory / name

    def put(self, name: str, made: Artefact) -> Target:
        """Put an artefact into the store's place; what would be activated."""
        made.save(self.directory / name)
        return Target(name, made.digest)

    def begin(self, name: str = "first", space: str = "v1", seed: int = 1) -> Target:
        """Let a model answer."""
        target = self.put(name, artefact(space, seed))
        self.live.install(name, self.engines.bundle(Scorer(Artefact.load(self.directory / name))))
        return target

    def keeper(self, slot: Slot | None = None) -> Keeper:
        """A keeper at work."""
        made = Keeper(slot or self.live, self.means(), self.metrics.reloads)
        self.keepers.append(made)
        made.start()
        return made

    def behave(self, user: int, items: list[int], *, erase: bool = False) -> None:
        """Append as ingest does: into the store, then told to whatever engines are open."""
        count, position = len(items), self.store.position
        batch = BehaviourBatch(
            user=np.full(count, user, np.int64),
            item=np.array(items, np.int64),
            time_ms=1_000 + 1_000 * np.arange(count),
            action=np.full(count, 4, np.uint8),
            category=np.zeros(count, np.int64),
            event_id=np.zeros(count, np.uint64),
            broker_time_ms=np.full(count, 5_000_000, np.int64),
            offset=position + np.arange(count),
            erase=np.full(count, erase),
        )
        feed = BehaviourFeed(self.store, self.engines.fan, lambda records: (batch, []))
        feed.write(batch, position + count, position)

    def ask(self, *asks: Ask) -> list[Found]:
        """Answers of one pass, as the search thread computes them."""
        found = Pipeline(self.parts())(list(asks))
        assert all(isinstance(one, Found) for one in found), found
        return [one for one in found if isinstance(one, Found)]

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def reloads(self, outcome: str, slot: str = "live") -> float | None:
        return self.value("muse_model_reload_total", slot=slot, outcome=outcome)

    def close(self) -> None:
        for keeper in self.keepers:
            keeper.close()
        self.store.close()


def make_world(directory: Path, *, backend: str = "reference", covered: int = ITEMS) -> World:
    """Items 1..60 with a vector in v1, and the first `covered` of them in v2."""
    random = np.random.default_rng(3)
    index = ItemIndex(max_items=1_000)
    tables = {space: VectorTable(space, DIMENSION, index, budget_bytes=1 << 20) for space in SPACES}
    items = np.arange(1, ITEMS + 1)
    vectors = {space: random.integers(-127, 128, (ITEMS + 1, DIMENSION), np.int8) for space in SPACES}
    tables["v1"].put(items, vectors["v1"][1:])
    tables["v2"].put(items[:covered], vectors["v2"][1 : covered + 1])
    catalogue = Catalogue(index, ("price", "band"))
    catalogue.put(items, items % 5 + 1, np.column_stack((items % 3 + 1, items % 7 + 1)))
    store = BehaviourStore.open(directory / "store", StoreIdentity("test", "behaviours", 0, 1), Rules())
    stores: StoreMap[BehaviourStore] = StoreMap()
    stores.open(PARTITION, lambda: store)
    engines = Engines(tables, catalogue, lambda table: GsuEngine(table, backend=backend, pool_bytes=1 << 22))
    metrics = Metrics(reasons=[], outcomes=[], version="test")
    return World(directory, store, stores, tables, catalogue, engines, vectors, metrics)
