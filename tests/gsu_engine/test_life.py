"""A long life of an engine: appends, gaps, repeats, evictions, late and changed vectors, floods, erasures, searches.

Each backend has an engine of its own with a pool, an index and a cap that are far too small; every search must equal
the oracle, which knows nothing of pools.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable
from muse_stream.gsu_engine.contract import Backend
from tests.gsu_engine.oracle import History, answer, assert_identical
from tests.gsu_engine.worlds import KINDS, World, draw_vectors

DIMENSION = 64
USERS = range(1, 4)
KNOWN = np.arange(1, 9)  # items that get vectors; all others are the flood


@dataclass(frozen=True)
class Rules:
    """What a life is drawn from; an index of 12 slots has 4 to spare for the flood, of 1 000 it never fills."""

    seed: int
    cap: int
    pages: int
    max_items: int
    flood: int
    kind: str


RULES = st.builds(
    Rules,
    seed=st.integers(0, 2**32 - 1),
    cap=st.sampled_from((1, 4, 30, 700)),
    pages=st.sampled_from((1, 3, 6, 20)),
    max_items=st.sampled_from((12, 12, 40, 1_000)),
    flood=st.sampled_from((4, 30, 900, 2**40)),
    kind=st.sampled_from(KINDS),
)


class Life:
    """The truth, and the engines that follow it."""

    def __init__(self, backends: list[Backend], rules: Rules) -> None:
        self.rng = np.random.default_rng(rules.seed)
        self.cap, self.kind, self.flood = rules.cap, rules.kind, rules.flood
        self.world = World(DIMENSION, {}, {user: History(0, []) for user in USERS}, self.rng)
        self.moment = copy.deepcopy(self.world)
        self.engines = []
        self.steps = 0
        self.searched = list(USERS)[: int(self.rng.integers(1, len(USERS) + 1))]  # one alone is often asked for again
        self.longest_answer = int(self.rng.integers(2, 12))
        for backend in backends:
            table = VectorTable(
                "v1", DIMENSION, ItemIndex(max_items=rules.max_items), budget_bytes=20 * (DIMENSION + 4)
            )
            self.engines.append(
                GsuEngine(table, cap=rules.cap, pool_bytes=rules.pages * 2_200, backend=backend, clock=self.clock)
            )

    def clock(self) -> float:
        """20 seconds a step, so that an erased user is kept again three steps later."""
        return 20.0 * self.steps

    def append(self, times: int = 1) -> None:
        """New behaviours of some users; `times` 0: the engines miss them, 2: they get them again."""
        users = np.flatnonzero(self.rng.random(len(USERS)) < 0.5) + 1
        longest = self.cap + 3 if self.rng.random() < 0.2 else 5
        lengths = self.rng.integers(1, longest, len(users))
        new = [self._items(int(n)) for n in lengths]
        starts = []
        for user, items in zip(users.tolist(), new, strict=True):
            history = self.world.histories[user]
            everything = history.items + items
            stop = history.start + len(everything)
            self.world.histories[user] = History(max(history.start, stop - self.cap), everything[-self.cap :])
            starts.append(stop - min(len(items), self.cap))
        alive = [items[-self.cap :] for items in new]
        bounds = np.concatenate(([0], np.cumsum([len(items) for items in alive]))).astype(np.int64)
        flat = np.array([item for items in alive for item in items], np.int64)
        for engine in self.engines:
            for _ in range(times):
                engine.append(users, np.array(starts, np.int64), bounds, flat)

    def _items(self, count: int) -> list[int]:
        flood = self.rng.integers(1_000, 1_000 + self.flood, count)
        return list(map(int, np.where(self.rng.random(count) < 0.7, self.rng.choice(KNOWN, count), flood)))

    def miss(self) -> None:
        self.append(times=0)

    def repeat(self) -> None:
        self.append(times=2)

    def vectors(self) -> None:
        """Vectors come, change, or turn to zero; of two for one item the last counts."""
        items = self.rng.choice(KNOWN, int(self.rng.integers(1, 6)))
        rows = draw_vectors(self.rng, self.kind, len(items), DIMENSION)
        for engine in self.engines:
            assert engine.put_vectors(items, rows) == 0
        self.world.vectors.update(zip(items.tolist(), rows, strict=True))
        self.moment.vectors = self.world.vectors

    def forget(self) -> None:
        items = self.rng.choice(KNOWN, 2)
        for engine in self.engines:
            engine.forget_vectors(items)
        for item in items.tolist():
            self.world.vectors.pop(item, None)

    def erase(self) -> None:
        user = int(self.rng.integers(1, len(USERS) + 1))
        self.world.histories[user] = History(self.world.histories[user].stop, [])
        for engine in self.engines:
            engine.drop(np.array([user]))

    def prefetch(self) -> None:
        user = int(self.rng.integers(1, len(USERS) + 1))
        for engine in self.engines:
            engine.prefetch(user, self.world)

    def take_moment(self) -> None:
        self.moment = copy.deepcopy(self.world)
        self.moment.vectors = self.world.vectors

    def search(self, world: World | None = None) -> None:
        world = world or self.world
        world.vectors.setdefault(99, np.zeros(DIMENSION, np.int8))  # for the oracle: somebody without a vector
        users = self.rng.choice(self.searched, int(self.rng.integers(1, 3))).tolist()
        candidates = self.rng.integers(0, 9, len(users)).tolist()
        windows, masks = self.rng.random(2) < 0.2  # mostly plain searches: only they use packed rows
        own = bool(self.rng.random() < 0.4)
        batch = world.batch(users, candidates, windows=bool(windows), masks=bool(masks), exclusions=own)
        k, recent = int(self.rng.integers(1, self.longest_answer)), int(self.rng.integers(0, 8))
        expected = answer(batch, world.histories, world.vectors, k, recent)
        for engine in self.engines:
            assert_identical(engine.search(batch, k, recent, world), expected)

    def search_earlier_moment(self) -> None:
        self.search(self.moment)


STEPS = [
    *[Life.append] * 6,
    Life.miss,
    Life.repeat,
    Life.vectors,
    Life.vectors,
    Life.forget,
    Life.erase,
    Life.prefetch,
    Life.take_moment,
    *[Life.search] * 6,
    Life.search_earlier_moment,
]


LIVES_CI, LIVES = 120, 400
STEP_LISTS = st.lists(st.sampled_from(STEPS), min_size=10, max_size=80)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def live(backends: list[Backend], rules: Rules, steps: list[Callable[[Life], None]]) -> None:
    life = Life(backends, rules)
    for step in [*steps, Life.search]:
        step(life)
        life.steps += 1


@pytest.mark.usefixtures("answers_stand")
@given(rules=RULES, steps=STEP_LISTS)
@settings(patient, max_examples=LIVES_CI)
def test_every_answer_of_a_life_equals_the_oracle(
    backends: list[Backend], rules: Rules, steps: list[Callable[[Life], None]]
) -> None:
    live(backends, rules, steps)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("answers_stand")
@given(rules=RULES, steps=STEP_LISTS)
@settings(patient, max_examples=LIVES)
def test_every_answer_of_many_lives_equals_the_oracle(
    backends: list[Backend], rules: Rules, steps: list[Callable[[Life], None]]
) -> None:
    live(backends, rules, steps)
