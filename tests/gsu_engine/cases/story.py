"""A story: one world, an engine per path, and searches while behaviours and vectors come, change and go.

Invariant: what happens in a story follows from its seed and number; the paths that take part change nothing.
"""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable
from muse_stream.gsu_engine.arrays import I64, Flags
from muse_stream.gsu_engine.contract import Backend
from tests.gsu_engine.cases import ways
from tests.gsu_engine.cases.draw import (
    UNHEARD_OF,
    Shape,
    draw_counts,
    draw_ids,
    draw_k,
    draw_shape,
    rows_of,
)
from tests.gsu_engine.cases.truth import Lived, Truth, difference, inverse_norms
from tests.gsu_engine.forced import small_shares, standing_from_the_first_row

SEARCHES = 12  # of one story
EVENTS = (
    "an append",
    "an append",
    "an append",
    "many appends",
    "a changed vector",
    "a late vector",
    "nothing",
    "nothing",
)
RARE_EVENTS = ("a forgotten vector", "an erasure")
GPU_BYTES = 1 << 24  # of an engine's histories there: fewer than a long story's users have
FOREIGN = 8  # candidates that are no items


@dataclass(frozen=True)
class Compared:
    """One search.

    Attributes:
        number: Of the search among all stories' searches.
        text: What was asked for.
        ways: Per path what was taken: see `ways`.
        wrong: Per path where it differs from the definition.

    """

    number: int
    text: str
    ways: dict[str, Counter[str]]
    wrong: dict[str, str]


@dataclass(frozen=True)
class Asked:
    """A search, drawn; `since` is what happened before it, `narrowed` that it asks for less than whole histories."""

    batch: SearchBatch
    k: int
    since: list[str]
    narrowed: bool


class Story:
    """Searches number `SEARCHES * number` and the following ones."""

    def __init__(self, seed: int, number: int, backends: Mapping[str, Backend | str], shape: Shape) -> None:
        """Make the world; `backends` by path, with the threads that `shape` wants."""
        self.rng = np.random.default_rng([seed, number, 1])
        self.number, self.shape = number, shape
        self.truth = Truth(draw_ids(self.rng, shape.items), shape.dimension)
        for user, length in enumerate(shape.lengths, 1):
            start = 0 if shape.slides else int(self.rng.choice([0, 5, 1_023, 10**12]))
            self.truth.histories[user] = Lived(start, self._numbers(length))
        index = ItemIndex(max_items=1 << 13)
        room = (shape.items + 1) * (shape.dimension + 4)
        self.table = VectorTable("v1", shape.dimension, index, budget_bytes=room)
        self._put(np.flatnonzero(self.rng.random(shape.items) < shape.with_vector))
        self.engines = {
            path: GsuEngine(
                self.table,
                cap=shape.cap,
                pool_bytes=shape.pool_bytes,
                packed_bytes=shape.packed_bytes,
                gpu_bytes=GPU_BYTES,
                backend=backend,
            )
            for path, backend in backends.items()
        }
        self.asked_about = self._some_items(int(self.rng.integers(1, 70)))
        self.foreign = rows_of(self.rng, shape.kind, FOREIGN, shape.dimension)

    def searches(self) -> Generator[Compared]:
        """All of them, in order."""
        with ExitStack() as forced:
            if self.shape.small_shares:
                forced.enter_context(small_shares())
            if self.shape.stands_early:
                forced.enter_context(standing_from_the_first_row())
            for step in range(SEARCHES):
                since = self._live() if step else []
                yield self._compare(SEARCHES * self.number + step, self._ask(since))

    def _compare(self, number: int, asked: Asked) -> Compared:
        batch, k, recent = asked.batch, asked.k, self.shape.recent
        expected = self.truth.answer(batch, k, recent)
        common = ways.of_search(batch, k, self.shape, asked.since, expected)
        common["range"] = int(asked.narrowed)
        taken, wrong = {}, {}
        for path, engine in self.engines.items():
            before = engine.stats()
            try:
                differs = difference(engine.search(batch, k, recent, self.truth), expected)
            except Exception as error:
                differs = f"{type(error).__name__}: {error}"
            if differs is not None:
                wrong[path] = differs
            taken[path] = common + ways.of_path(batch, common, before, engine.stats())
        return Compared(number, ways.told(batch, k, recent, common), taken, wrong)

    def _live(self) -> list[str]:
        """What happens between two searches."""
        if self.shape.slides and self.rng.random() < 0.8:
            return self._slide()
        events = [str(self.rng.choice(EVENTS)) for _ in range(int(self.rng.integers(1, 3)))]
        if self.rng.random() < 0.03:
            events.append(str(self.rng.choice(RARE_EVENTS)))
        return [event for event in events if self._happen(event)]

    def _happen(self, event: str) -> bool:
        """False where it came to nothing."""
        rng, truth = self.rng, self.truth
        without = np.flatnonzero(truth.inv_norms == 0)
        if event == "an append":
            self._append(int(rng.integers(1, 20)))
        elif event == "many appends":
            self._append(int(rng.integers(20, 400)))
        elif event == "a changed vector":
            self._put(self._some_items(int(rng.integers(1, 4))))
        elif event == "a late vector" and len(without):
            self._put(rng.choice(without, int(rng.integers(1, 3))))
        elif event == "a forgotten vector":
            self._forget(self._some_items(1))
        elif event == "an erasure":
            self._erase(int(rng.integers(1, len(self.shape.lengths) + 1)))
        else:
            return False
        return True

    def _slide(self) -> list[str]:
        """Some of the first user's rows leave for new ones; half of the times for rows without a vector."""
        count = int(self.rng.integers(1, 50))
        without = np.flatnonzero(self.truth.inv_norms == 0)
        poor = len(without) > 0 and self.rng.random() < 0.5
        self._tell(np.array([1]), [self.rng.choice(without, count) if poor else self._numbers(count)])
        return ["an append"]

    def _append(self, most: int) -> None:
        """New behaviours of some users in one batch."""
        users = np.flatnonzero(self.rng.random(len(self.shape.lengths)) < 0.6) + 1
        self._tell(users, [self._numbers(int(self.rng.integers(1, most + 1))) for _ in users])

    def _tell(self, users: I64, news: Sequence[I64]) -> None:
        alive = [self.truth.append(int(user), new, self.shape.cap) for user, new in zip(users, news, strict=True)]
        starts = np.array([start for start, _ in alive], np.int64)
        bounds = np.cumsum([0, *(len(items) for _, items in alive)], dtype=np.int64)
        items = np.concatenate([np.zeros(0, np.int64), *(items for _, items in alive)])
        for engine in self.engines.values():
            engine.append(users.astype(np.int64), starts, bounds, items)

    def _put(self, numbers: I64) -> None:
        numbers = np.unique(numbers)
        rows = rows_of(self.rng, self.shape.kind, len(numbers), self.shape.dimension)
        if len(numbers):
            assert self.table.put(self.truth.ids[numbers], rows) == 0
            self.truth.put(numbers, rows)

    def _forget(self, numbers: I64) -> None:
        self.table.forget(self.truth.ids[numbers])
        self.truth.put(numbers, np.zeros((len(numbers), self.shape.dimension), np.int8))

    def _erase(self, user: int) -> None:
        self.truth.histories[user] = Lived(self.truth.histories[user].stop, np.zeros(0, np.int64))
        for engine in self.engines.values():
            engine.drop(np.array([user]))

    def _numbers(self, count: int) -> I64:
        return self.rng.integers(0, self.shape.items, count)

    def _some_items(self, count: int) -> I64:
        return self.rng.integers(0, self.shape.items, count)

    def _ask(self, since: list[str]) -> Asked:
        """The next search: mostly plain, of one user again and again, so that rows lie packed and answers stand."""
        rng, everybody = self.rng, len(self.shape.lengths)
        steady = self.shape.slides and rng.random() < 0.8
        pairs = 1 if steady or rng.random() < 0.6 else int(rng.integers(2, 6))
        first = rng.random(pairs) < (1.0 if steady else 0.5)
        users: I64 = np.where(first, 1, rng.integers(1, everybody + 1, pairs)).astype(np.int64)
        starts = np.array([self.truth.histories[user].start for user in users.tolist()], np.int64)
        stops = np.array([self.truth.histories[user].stop for user in users.tolist()], np.int64)
        ranges, bitmaps, exclusions = rng.random(3) < ((0.1, 0.0, 0.2) if steady else (0.3, 0.12, 0.35))
        whole = stops - starts
        if ranges:
            starts, stops = self._ranges(starts, stops)
        counts = draw_counts(rng, stops - starts, self.shape)
        numbers = self._candidates(sum(counts))
        vectors = np.concatenate([self.truth.vectors, self.foreign])[numbers]
        inv_norms = inverse_norms(vectors)
        inv_norms[rng.random(len(numbers)) < 0.03] = 0
        bounds = np.cumsum([0, *counts], dtype=np.int64)
        allowed = [self._mask(int(length)) for length in stops - starts] if bitmaps else None
        excluded = self._excluded(numbers) if exclusions else None
        batch = SearchBatch(users, starts, stops, bounds, vectors, inv_norms, allowed, excluded)
        narrowed = bool((stops - starts < whole).any())
        another_k = not steady and rng.random() < 0.2
        return Asked(batch, draw_k(rng) if another_k else self.shape.k, since, narrowed)

    def _ranges(self, starts: I64, stops: I64) -> tuple[I64, I64]:
        """A part of each history: any; its newer half or more; or nearly all of it, as a hot user's rows may serve."""
        kind, lengths = int(self.rng.integers(3)), stops - starts
        if kind == 0:
            edges = np.sort(self.rng.integers(starts, stops + 1, (2, len(starts))), axis=0)
            return edges[0], edges[1]
        if kind == 1:
            return starts + self.rng.integers(0, lengths // 2 + 1), stops
        return starts + self.rng.integers(0, lengths // 8 + 1), stops - self.rng.integers(0, lengths // 8 + 1)

    def _candidates(self, count: int) -> I64:
        """Numbers of items, and beyond them of foreign vectors: asked about before, mostly."""
        strangers = self.rng.integers(0, self.shape.items + FOREIGN, count)
        return np.where(self.rng.random(count) < 0.85, self.rng.choice(self.asked_about, count), strangers)

    def _excluded(self, numbers: I64) -> I64:
        """The candidate itself, or another item, or one that nobody knows, or none."""
        own = np.concatenate([self.truth.ids, np.full(FOREIGN, UNHEARD_OF)])[numbers]
        others = self.rng.choice(np.concatenate([self.truth.ids, [0, UNHEARD_OF]]), len(numbers))
        kinds = self.rng.random(len(numbers))
        return np.select([kinds < 0.7, kinds < 0.85], [own, others], 0).astype(np.int64)

    def _mask(self, rows: int) -> Flags | NDArray[np.uint8] | None:
        bits: Flags = self.rng.random(rows) < self.rng.random()
        return (None, bits, np.packbits(bits, bitorder="little"))[int(self.rng.integers(3))]


def story_of(seed: int, number: int, backends: "Mapping[tuple[str, int], Backend | str]") -> Story:
    """The story of that number, over backends by path and threads."""
    shape = draw_shape(np.random.default_rng([seed, number, 0]))
    fitting = {path: backend for (path, threads), backend in backends.items() if threads == shape.threads}
    return Story(seed, number, fitting, shape)
