"""Time of one exact top-K search, by history length and candidates, beside other libraries' exact searches.

Ours is the whole call, from the batch to the result: for hot users over their packed rows, with `--cold` gathering the
rows of a resident history out of the shared table. The peers get each user's rows ready and contiguous in float32.
Rounds take turns, users rotate within a round, and each round asks for other candidates, so that nobody lives off a
cache and no answer of ours stands (see `incremental`). Before it counts, a peer's best
scores are compared with ours.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.benchmarks.gsu_peers import F32, Peer, make_peers
from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.benchmarks.vectors import history, unit_vectors
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, SearchResult, VectorTable, quantise

USERS = 3
WARM_UPS = 2  # rounds that do not count: the second makes a user hot
PUT = 65_536
PACKED_BYTES = 1 << 30  # all users of a run stay hot
WARM_UP_ROWS, WARM_UP_CANDIDATES = 10_000, 100  # enough work for all threads of the backend
CLOSE = 1e-5  # float32 sums in another order, over rows that were divided by their norm first


@dataclass(frozen=True, slots=True)
class _Case:
    """One user of a length, and what is asked."""

    batch: SearchBatch
    candidates: F32
    peers: dict[str, Peer]


class _Histories:
    """All users' items (`HistorySource`)."""

    def __init__(self) -> None:
        self.of: dict[int, NDArray[np.int64]] = {}

    def items(self, user: int) -> tuple[int, NDArray[np.int64]]:
        """Start position 0 and the items."""
        return 0, self.of[user]


class _World:
    """Table, engine and users."""

    def __init__(self, items: int, dimension: int, backend: str, threads: int, *, cold: bool) -> None:
        self.rng = np.random.default_rng(0)
        self.threads, self.number = threads, items
        index = ItemIndex(max_items=2 * items)
        self.table = VectorTable("benchmark", dimension, index, items * (dimension + 4))
        vectors = quantise(unit_vectors(self.rng, items, dimension))
        for low in range(0, items, PUT):
            self.table.put(np.arange(low, min(low + PUT, items)) + 1, vectors[low : low + PUT])
        packed_bytes = 0 if cold else PACKED_BYTES
        self.engine = GsuEngine(self.table, cap=1_000_000, packed_bytes=packed_bytes, backend=backend, threads=threads)
        self.histories = _Histories()
        self._start_threads()

    def _start_threads(self) -> None:
        """Before the peers load: OMP_PROC_BIND ties this thread to a core, and threads made later inherit that."""
        self.histories.of[0] = history(self.rng, WARM_UP_ROWS, self.number)
        self.search(self.case(0, {}, WARM_UP_CANDIDATES), 1)

    def user(self, length: int) -> tuple[int, dict[str, Peer]]:
        """A new resident user, and the peers over the same rows, newest first."""
        user = len(self.histories.of) + 1
        self.histories.of[user] = history(self.rng, length, self.number)
        self.engine.prefetch(user, self.histories)
        return user, make_peers(self._unit(self.histories.of[user][::-1]), self.threads)

    def case(self, user: int, peers: dict[str, Peer], candidates: int) -> _Case:
        """Ask for random items."""
        items = self.rng.integers(1, self.number + 1, candidates)
        vectors, norms = self.table.lookup(items)
        one = np.array([user], np.int64)
        stop, bounds = np.array([len(self.histories.of[user])]), np.array([0, candidates])
        return _Case(SearchBatch(one, 0 * one, stop, bounds, vectors, norms), self._unit(items), peers)

    def _unit(self, items: NDArray[np.int64]) -> F32:
        vectors, norms = self.table.lookup(items)
        return np.ascontiguousarray(vectors * norms[:, None])

    def search(self, case: _Case, k: int) -> SearchResult:
        """Ours."""
        return self.engine.search(case.batch, k, 0, self.histories)


def run(
    *,
    lengths: str = "1000,10000,100000",
    candidates: str = "1,10,100,500",
    k: int = 50,
    dimension: int = 128,
    items: int = 300_000,
    backend: str = "auto",
    threads: int = 0,
    rounds: int = 9,
    cold: bool = False,
    quick: bool = False,
) -> list[Row]:
    """One row per length and number of candidates: median milliseconds of a search.

    Args:
        lengths: Behaviours per history, separated by commas.
        candidates: Candidates per search, separated by commas.
        k: Results per candidate.
        dimension: Width of a vector.
        items: Items in the table.
        backend: Ours.
        threads: For ours and the peers; 0 = one per core.
        rounds: Per case, each over three users.
        cold: No packed rows: every search of ours gathers.
        quick: Two rounds.

    """
    world = _World(items, dimension, backend, threads or len(os.sched_getaffinity(0)), cold=cold)
    rows = []
    for length in map(int, lengths.split(",")):
        users = [world.user(length) for _ in range(USERS)]
        for count in map(int, candidates.split(",")):
            turns = 2 if quick else rounds
            cases = [[world.case(user, peers, count) for user, peers in users] for _ in range(WARM_UPS + turns)]
            rows.append(_measure(world, cases, f"L={length} C={count} K={k}", k))
    return rows


def _measure(world: _World, rounds: list[list[_Case]], name: str, k: int) -> Row:
    first = rounds[0][0]
    peers = [peer for peer in first.peers if _agrees(world, first, peer, k)]
    ways: dict[str, Callable[[_Case], Any]] = {"ours": lambda case: world.search(case, k)}
    for peer in peers:
        ways[peer] = lambda case, peer=peer: case.peers[peer](case.candidates, k)  # type: ignore[misc]
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number, cases in enumerate(rounds):
        for way, search in ways.items():
            for case in cases:
                began = time.perf_counter()
                search(case)
                if number >= WARM_UPS:
                    times[way].append(1e3 * (time.perf_counter() - began))
    medians = {way: statistics.median(taken) for way, taken in times.items()}
    print(name, {way: round(value, 3) for way, value in medians.items()}, file=sys.stderr)  # noqa: T201
    return lower_is_better(name, medians.pop("ours"), "ms", medians)


def _agrees(world: _World, case: _Case, name: str, k: int) -> bool:
    """Whether a peer finds rows with the same scores; one that does not is left out and named."""
    peer = case.peers[name]
    theirs, ours = peer.best_scores(peer(case.candidates, k)), world.search(case, k).scores
    apart = float(np.abs(theirs - ours).max()) if theirs.shape == ours.shape else np.inf
    if apart > CLOSE:
        print(f"left out: {name}, not exact (scores up to {apart:.1e} apart)", file=sys.stderr)  # noqa: T201
    return apart <= CLOSE
