"""A table of made-up items, users with histories, and questions to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muse_stream.benchmarks.gpu_cases import Group
from muse_stream.benchmarks.gsu_data import Vectors, asked, make
from muse_stream.benchmarks.vectors import I64
from muse_stream.gsu_engine import ItemIndex, SearchBatch, VectorTable
from muse_stream.gsu_engine.quantise import inverse_norms


@dataclass(frozen=True, slots=True)
class Question:
    """Candidates for a set of users: as ours takes them, and as the peers do."""

    batch: SearchBatch
    asked: list[Vectors]


class World:
    """Items as in `gsu_data`'s mixture. Users are numbered as they are made; every group has its own."""

    def __init__(self, items: int, dimension: int) -> None:
        self._rng = np.random.default_rng(0)
        self._data = make("mixture", self._rng, items, dimension)
        self.table = VectorTable("benchmark", dimension, ItemIndex(max_items=2 * items), items * (dimension + 4))
        done = 0
        for vectors in self._data.blocks():
            self.table.put(np.arange(done, done + len(vectors)) + 1, vectors)
            done += len(vectors)
        self._items: list[I64] = [np.zeros(0, np.int64)]  # nobody is user 0

    def items(self, user: int) -> tuple[int, I64]:
        """Start position 0 and the items (`HistorySource`)."""
        return 0, self._items[user]

    def sets(self, group: Group) -> list[list[int]]:
        """New users for a group."""
        return [[self._user(length) for length in group.lengths] for _ in range(group.sets)]

    def _user(self, length: int) -> int:
        self._items.append(self._data.history(length))
        return len(self._items) - 1

    def some_items(self, count: int) -> I64:
        """Any."""
        return self._rng.integers(1, self._data.items + 1, count)

    def rows(self, users: Sequence[int]) -> list[Vectors]:
        """Their rows, newest first."""
        return [Vectors.of(*self.table.lookup(self._items[user][::-1])) for user in users]

    def question(self, users: Sequence[int], candidates: int) -> Question:
        """New candidates, so that no answer of ours stands."""
        vectors = asked(self._rng, self.table.lookup(self.some_items(candidates * len(users)))[0])
        norms, numbers = inverse_norms(vectors), np.array(users, np.int64)
        stops = np.array([len(self._items[user]) for user in users], np.int64)
        bounds = candidates * np.arange(len(users) + 1)
        parts = [slice(low, low + candidates) for low in bounds[:-1].tolist()]
        each = [Vectors.of(vectors[part], norms[part]) for part in parts]
        return Question(SearchBatch(numbers, 0 * numbers, stops, bounds, vectors, norms), each)
