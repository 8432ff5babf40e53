"""What swaps are measured on: stores and two vector spaces in memory, artefacts on disk, and requests in open loop.

The passes are those of a worker (its pipeline, its engine, its scorer, its keeper), in this process and without Kafka:
one thread answers whatever waits, requests come at random, however long answers take.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from muse_stream.benchmarks.vectors import history, unit_vectors
from muse_stream.esu_scorer import Artefact, FeatureSpec, load_model
from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable, quantise
from muse_stream.gsu_engine.quantise import inverse_norms
from muse_stream.monitoring import Metrics
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.stores import StoreMap
from muse_stream.streams.serving.pipeline import Ask, Found, Parts, Pipeline
from muse_stream.streams.serving.stages import StageClock
from muse_stream.streams.wire.encode import encode_request
from muse_stream.streams.wire.requests import Request, RequestRules, RequestValue, parse_request
from muse_stream.streams.wire.users import decode_profile
from muse_stream.streams.worker.swapping.attempt import Means
from muse_stream.streams.worker.swapping.checks import Expected
from muse_stream.streams.worker.swapping.engines import Engines
from muse_stream.streams.worker.swapping.keeper import Keeper
from muse_stream.streams.worker.swapping.rehearsal import Captured
from muse_stream.streams.worker.swapping.shadow import Shadow
from muse_stream.streams.worker.swapping.slot import Slot
from muse_stream.streams.worker.swapping.target import Target

DIMENSION = 128
SPACES = ("v1", "v2")
CATEGORIES = 1_000
OTHER_IDS = 10_000  # of every other feature
DEADLINE_SECONDS = 60.0
CLOSE_SECONDS = 60.0
WARM_UPS = 4  # the third search packs, the fourth is as all others


@dataclass(frozen=True, slots=True)
class Sizes:
    """Items, users and behaviours of each, candidates of a request, requests per second, threads of searches."""

    items: int
    users: int
    length: int
    candidates: int
    rate: float
    threads: int


@dataclass(slots=True)
class World:
    """Everything that answers."""

    sizes: Sizes
    directory: Path
    stores: StoreMap[BehaviourStore]
    engines: Engines
    live: Slot = field(default_factory=lambda: Slot("live"))
    beside: Slot = field(default_factory=lambda: Slot("shadow"))
    captured: Captured = field(default_factory=Captured)
    metrics: Metrics = field(default_factory=lambda: Metrics(reasons=[], outcomes=[], version="benchmark"))
    targets: dict[str, Target] = field(default_factory=dict)
    waiting: Callable[[], int] = lambda: 0

    def warm(self) -> None:
        """Ask about everybody until nothing is loaded or packed any more, with one set of questions."""
        pipeline, rules = Pipeline(self.parts()), _rules()
        for _ in range(WARM_UPS):
            random = np.random.default_rng(1)
            for user in range(1, self.sizes.users + 1):
                pipeline([_ask(self.sizes, rules, random, user)])

    def parts(self) -> Parts:
        """Of a pipeline."""
        return Parts(self.stores.lease, lambda: self.live.live, inverse_norms, decode_profile, _still)

    def keeper(self) -> Keeper:
        """A keeper of the live slot, as a worker has it."""
        names = FeatureSpec.taobao_mm()
        means = Means(
            fetch=lambda name, digest: self.directory / name,
            load=lambda path: load_model(path, device="cpu"),
            expected=Expected(SPACES, names.candidate_names[2:], names.user_names),
            engines=self.engines,
            parts=self.parts(),
            stores=self.stores,
            served=lambda: self.live.live,
            captured=self.captured,
            coverage_min=1.0,
            warm_kernels=lambda dimension: None,
        )
        return Keeper(self.live, means, self.metrics.reloads)

    def shadow(self) -> Shadow:
        """A shadow that takes every request."""
        model = load_model(self.directory / "other", device="cpu")
        self.beside.install("other", self.engines.bundle(model))
        return Shadow(self.beside, Pipeline(self.parts()), self.metrics.shadow, lambda: self.waiting())  # noqa: PLW0108


@contextmanager
def _still() -> Iterator[int]:
    yield 0


@contextmanager
def world(sizes: Sizes, directory: Path) -> Iterator[World]:
    """Build it; everybody is resident in the space of the first model."""
    random = np.random.default_rng(0)
    items = np.arange(1, sizes.items + 1)
    index = ItemIndex(max_items=2 * sizes.items)
    tables = {space: VectorTable(space, DIMENSION, index, 2 * sizes.items * (DIMENSION + 4)) for space in SPACES}
    for table in tables.values():
        table.put(items, quantise(unit_vectors(random, sizes.items, DIMENSION)))
    spec = FeatureSpec.taobao_mm()
    catalogue = Catalogue(index, spec.candidate_names[2:])
    catalogue.put(items, 1 + items % CATEGORIES, np.column_stack([1 + items % OTHER_IDS] * 2))
    store = BehaviourStore.open(directory / "store", StoreIdentity("benchmark", "behaviours", 0, 1), Rules())
    stores: StoreMap[BehaviourStore] = StoreMap()
    stores.open(0, lambda: store)
    engines = Engines(tables, catalogue, lambda table: GsuEngine(table, backend="cpu", threads=sizes.threads))
    made = World(sizes, directory, stores, engines)
    for name, space, seed in (("first", "v1", 1), ("other", "v1", 2), ("moved", "v2", 3)):
        made.targets[name] = _save(directory / name, spec, space, seed, sizes)
    made.live.install("first", engines.bundle(load_model(directory / "first", device="cpu")))
    try:
        for user in range(1, sizes.users + 1):
            _behave(store, user, history(random, sizes.length, sizes.items))
        yield made
    finally:
        store.close()


def _save(path: Path, spec: FeatureSpec, space: str, seed: int, sizes: Sizes) -> Target:
    known = dict.fromkeys((*spec.candidate_names, *spec.user_names), np.arange(1, OTHER_IDS + 1))
    known |= {"item": np.arange(1, sizes.items + 1), "category": np.arange(1, CATEGORIES + 1)}
    made = Artefact.untrained(spec, known, seed=seed, space=space)
    made.save(path)
    return Target(path.name, made.digest)


def _behave(store: BehaviourStore, user: int, items: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    count, position = len(items), store.position
    rows = BehaviourBatch(
        user=np.full(count, user),
        item=items,
        time_ms=1 + np.arange(count),
        action=np.ones(count, np.uint8),
        category=np.zeros(count, np.int64),
        event_id=np.zeros(count, np.uint64),
        broker_time_ms=np.full(count, 1_000),
        offset=position + np.arange(count),
        erase=np.zeros(count, np.bool_),
    )
    store.append(rows, position=position + count)


class Load:
    """Requests at random times; a thread answers what waits, all of it in one pass.

    Attributes:
        arrived: When each request was due, `time.perf_counter`.
        seconds: From then to its answer.
        failed: Requests that were not answered.

    """

    def __init__(self, world: World, shadow: Shadow | None = None) -> None:
        self.arrived: list[float] = []
        self.seconds: list[float] = []
        self.failed = 0
        self._world, self._shadow = world, shadow
        self._random = np.random.default_rng(7)
        self._rules = _rules()
        self._waiting: queue.SimpleQueue[tuple[float, Ask] | None] = queue.SimpleQueue()
        world.waiting = self._waiting.qsize
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._arrive, self._answer)]

    def __enter__(self) -> "Load":
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; what waits is answered first."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(CLOSE_SECONDS)

    def between(self, begin: float, end: float) -> list[float]:
        """Seconds of the requests that were due in this time."""
        pairs = zip(list(self.arrived), list(self.seconds), strict=False)
        return [seconds for due, seconds in pairs if begin <= due < end]

    def _arrive(self) -> None:
        due = time.perf_counter()
        while not self._stopping.is_set():
            ask = self._ask()
            due += self._random.exponential(1 / self._world.sizes.rate)
            self._stopping.wait(max(0.0, due - time.perf_counter()))
            self._waiting.put((due, ask))
        self._waiting.put(None)

    def _ask(self) -> Ask:
        user = int(self._random.integers(1, self._world.sizes.users + 1))
        return _ask(self._world.sizes, self._rules, self._random, user)

    def _answer(self) -> None:
        pipeline = Pipeline(self._world.parts())
        while (first := self._waiting.get()) is not None:
            taken = [first]
            while not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                taken.append(following)
            asks = [ask for _, ask in taken]
            found = pipeline(asks)
            done = time.perf_counter()
            self.failed += sum(not isinstance(one, Found) for one in found)
            self.arrived += [due for due, _ in taken]
            self.seconds += [done - due for due, _ in taken]
            self._world.captured.note(asks)
            if self._shadow:
                self._shadow.offer(asks, found)


def _rules() -> RequestRules:
    return RequestRules(partition_count=1, spaces=dict.fromkeys(SPACES, DIMENSION), quantise=quantise)


def _ask(sizes: Sizes, rules: RequestRules, random: np.random.Generator, user: int) -> Ask:
    candidates = random.integers(1, sizes.items + 1, sizes.candidates).tolist()
    pair = encode_request(user, RequestValue(request_id="b", candidates=candidates, want="scores"))
    request = parse_request(*pair, rules)
    assert isinstance(request, Request)
    return Ask(0, request, time.perf_counter() + DEADLINE_SECONDS, StageClock())
