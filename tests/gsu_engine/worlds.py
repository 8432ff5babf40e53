"""Random worlds: vectors with many ties and zeros, histories with repeats and absent items, ragged batches."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from muse_stream.gsu_engine import ItemIndex, SearchBatch, VectorTable
from muse_stream.gsu_engine.quantise import inverse_norms
from tests.gsu_engine.oracle import History, Vectors

UNHEARD_OF = 2**61  # an item that is in no history and has no vector
KINDS = ("full", "signs", "equal", "sparse", "extreme", "multiples")


def draw_vectors(rng: np.random.Generator, kind: str, count: int, dimension: int) -> NDArray[np.int8]:
    """`[count, dimension] int8` of one of the kinds; a few rows are all zero."""
    if kind == "full":
        rows = rng.integers(-128, 128, (count, dimension))
    elif kind == "signs":
        rows = rng.integers(-1, 2, (count, dimension))
    elif kind == "equal":
        rows = np.tile(rng.integers(-128, 128, dimension), (count, 1))
    elif kind == "sparse":
        rows = rng.integers(-3, 4, (count, dimension)) * (rng.random((count, dimension)) < 2 / dimension)
    elif kind == "extreme":
        rows = rng.choice([-128, 127], (count, dimension))
    else:  # one direction in several lengths: cosines that differ in the last bit or not at all
        rows = rng.integers(-5, 6, dimension) * rng.integers(1, 25, (count, 1))
    rows[rng.random(count) < 0.05] = 0
    return rows.astype(np.int8)


@dataclass
class World:
    """Vectors and histories, as plain values."""

    dimension: int
    vectors: Vectors
    histories: dict[int, History]
    rng: np.random.Generator = field(repr=False)

    def items(self, user: int) -> tuple[int, NDArray[np.int64]]:
        """This world as a `HistorySource`."""
        history = self.histories[user]
        return history.start, np.array(history.items, np.int64)

    def table(self, index: ItemIndex | None = None) -> VectorTable:
        table = VectorTable("v1", self.dimension, index or ItemIndex(max_items=1 << 12), budget_bytes=1 << 22)
        if self.vectors:
            table.put(np.array(list(self.vectors), np.int64), np.stack(list(self.vectors.values())))
        return table

    def batch(
        self, users: list[int], candidates: list[int], *, windows: bool, masks: bool, exclusions: bool = False
    ) -> SearchBatch:
        """Random candidates: items, other vectors, and some without a vector."""
        rng, pairs = self.rng, len(users)
        total = sum(candidates)
        pool = np.stack([*self.vectors.values(), *draw_vectors(rng, "full", 3, self.dimension)])
        picked = rng.integers(0, len(pool), total)
        vectors = pool[picked]
        norms = inverse_norms(vectors)
        norms[rng.random(total) < 0.1] = 0
        starts = np.array([self.histories[user].start for user in users], np.int64)
        stops = np.array([self.histories[user].stop for user in users], np.int64)
        if windows:
            edges = np.sort(rng.integers(starts, stops + 1, (2, pairs)), axis=0)
            starts, stops = edges[0], edges[1]
        allowed = [self._mask(int(n)) for n in stops - starts] if masks else None
        bounds = np.concatenate(([0], np.cumsum(candidates))).astype(np.int64)
        excluded = self._excluded(picked) if exclusions else None
        return SearchBatch(np.array(users, np.int64), starts, stops, bounds, vectors, norms, allowed, excluded)

    def _excluded(self, picked: NDArray[np.int64]) -> NDArray[np.int64]:
        """Per candidate its own item, or another one: of a history, without a vector, that nobody knows; or none."""
        own = np.array([*self.vectors, 0, UNHEARD_OF, UNHEARD_OF], np.int64)[picked]
        named = [item for history in self.histories.values() for item in history.items]
        others = self.rng.choice(np.array([0, UNHEARD_OF, *self.vectors, *named], np.int64), len(picked))
        return np.where(self.rng.random(len(picked)) < 0.6, own, others)

    def _mask(self, rows: int) -> NDArray[np.bool_] | NDArray[np.uint8] | None:
        bits = self.rng.random(rows) < self.rng.random()
        return (None, bits, np.packbits(bits, bitorder="little"))[int(self.rng.integers(3))]


@st.composite
def worlds(draw: st.DrawFn, longest: int = 200) -> World:
    """A world of up to 4 users."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dimension = draw(st.sampled_from((64, 128, 192, 1_024)))
    items = draw(st.integers(1, 60))
    rows = draw_vectors(rng, draw(st.sampled_from(KINDS)), items, dimension)
    with_vector = rng.random(items) < draw(st.sampled_from((0.0, 0.2, 0.9, 1.0)))
    ids = rng.choice(np.r_[1:1_000, -500:0, 2**62 : 2**62 + 50], items, replace=False)
    vectors = {int(i): row for i, row, there in zip(ids, rows, with_vector, strict=True) if there}
    histories = {
        user: History(
            draw(st.sampled_from((0, 5, 1_023, 10**12))),
            rng.choice(ids, draw(st.integers(0, longest))).tolist(),
        )
        for user in range(1, draw(st.integers(1, 4)) + 1)
    }
    return World(dimension, vectors, histories, rng)
