"""One table, our engines over it, and users with their peers."""

import sys
import time
from dataclasses import dataclass

import numpy as np

from muse_stream.benchmarks.gsu_data import Data, Vectors, asked
from muse_stream.benchmarks.gsu_peers import Peer, make_peers
from muse_stream.benchmarks.gsu_threads import everywhere
from muse_stream.benchmarks.vectors import I64
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, SearchResult, VectorTable
from muse_stream.gsu_engine.quantise import inverse_norms

HOT, COLD = "ours, hot", "ours, cold"
PACKED_BYTES = 1 << 30  # all users of a run stay hot
CAP = 1_000_000
WARM_UP_ROWS, WARM_UP_CANDIDATES = 10_000, 100  # enough work for all threads of the backend
SAID_SECONDS = 5.0  # between two lines of progress


@dataclass(frozen=True, slots=True)
class User:
    """A resident user: its rows newest first, as the peers have them, and the peers."""

    number: int
    rows: Vectors
    peers: dict[str, Peer]


@dataclass(frozen=True, slots=True)
class Case:
    """A question to one user: as we take it, and as the peers do."""

    user: User
    batch: SearchBatch
    candidates: Vectors


class World:
    """A table with engines: the hot one keeps every user's packed rows, the cold one gathers in every search."""

    def __init__(self, data: Data, rng: np.random.Generator, backend: str, threads: int, *, cold: bool) -> None:
        self.data, self.threads, self._rng = data, threads, rng
        index = ItemIndex(max_items=2 * data.items)
        self.table = VectorTable("benchmark", data.dimension, index, data.items * (data.dimension + 4))
        self._fill()
        budgets = {COLD: 0, HOT: PACKED_BYTES} if cold else {HOT: PACKED_BYTES}
        self.engines = {
            name: GsuEngine(self.table, cap=CAP, packed_bytes=budget, backend=backend, threads=threads)
            for name, budget in budgets.items()
        }
        self._items: dict[int, I64] = {}
        self._start_threads()

    def _fill(self) -> None:
        """Vectors in blocks, so that the floats of all of them never exist at once."""
        began = said = time.perf_counter()
        done = 0
        for vectors in self.data.blocks():
            self.table.put(np.arange(done, done + len(vectors)) + 1, vectors)
            done += len(vectors)
            now = time.perf_counter()
            if now - said >= SAID_SECONDS:
                said, left = now, (now - began) / done * (self.data.items - done)
                print(f"table: {done:,} of {self.data.items:,} items, {left:.0f} s left", file=sys.stderr)  # noqa: T201

    def _start_threads(self) -> None:
        """A search that takes them all, before any peer is loaded: see `gsu_peers`."""
        everywhere()
        case = self.case(self.user(WARM_UP_ROWS, ()), WARM_UP_CANDIDATES)
        for name in self.engines:
            self.search(name, 1, case)

    def items(self, user: int) -> tuple[int, I64]:
        """Start position 0 and the items (`HistorySource`)."""
        return 0, self._items[user]

    def user(self, length: int, wanted: tuple[str, ...]) -> User:
        """A new resident user, and the peers over the same rows."""
        number = len(self._items) + 1
        self._items[number] = self.data.history(length)
        for engine in self.engines.values():
            engine.prefetch(number, self)
        rows = Vectors.of(*self.table.lookup(self._items[number][::-1]))
        return User(number, rows, make_peers(rows, self.threads, wanted))

    def case(self, user: User, candidates: int) -> Case:
        """A question that was never asked before."""
        vectors, _ = self.table.lookup(self._rng.integers(1, self.data.items + 1, candidates))
        vectors = asked(self._rng, vectors)
        norms, one = inverse_norms(vectors), np.array([user.number], np.int64)
        window = 0 * one, np.array([len(user.rows)])
        batch = SearchBatch(one, *window, np.array([0, candidates]), vectors, norms)
        return Case(user, batch, Vectors.of(vectors, norms))

    def served(self) -> int:
        """Candidates that were answered by standing answers so far."""
        packed = [engine.stats().packed for engine in self.engines.values()]
        return sum(one.served for one in packed if one)

    def search(self, engine: str, k: int, case: Case) -> SearchResult:
        """Ours."""
        return self.engines[engine].search(case.batch, k, 0, self)
