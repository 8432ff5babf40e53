"""Time of one exact top-K search, by history length and candidates, beside other libraries' exact searches.

Ours is the whole call: a resident user's window is copied, its rows are gathered out of the shared table, and results
are made. The peers get each user's rows ready and contiguous in float32. Rounds take turns, and users rotate within a
round, so that nobody lives off a cache. Before it counts, a peer's best scores are compared with ours.
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
PUT = 65_536
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

    def __init__(self, items: int, dimension: int, backend: str, threads: int) -> None:
        self.rng = np.random.default_rng(0)
        self.threads, self.number = threads, items
        index = ItemIndex(max_items=2 * items)
        self.table = VectorTable("benchmark", dimension, index, items * (dimension + 4))
        vectors = quantise(unit_vectors(self.rng, items, dimension))
        for low in range(0, items, PUT):
            self.table.put(np.arange(low, min(low + PUT, items)) + 1, vectors[low : low + PUT])
        self.engine = GsuEngine(self.table, cap=1_000_000, backend=backend, threads=threads)
        self.histories = _Histories()

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
        quick: Two rounds.

    """
    world = _World(items, dimension, backend, threads or len(os.sched_getaffinity(0)))
    rows = []
    for length in map(int, lengths.split(",")):
        users = [world.user(length) for _ in range(USERS)]
        for count in map(int, candidates.split(",")):
            cases = [world.case(user, peers, count) for user, peers in users]
            rows.append(_measure(world, cases, f"L={length} C={count} K={k}", k, 2 if quick else rounds))
    return rows


def _measure(world: _World, cases: list[_Case], name: str, k: int, rounds: int) -> Row:
    peers = [peer for peer in cases[0].peers if _agrees(world, cases[0], peer, k)]
    ways: dict[str, Callable[[_Case], Any]] = {"ours": lambda case: world.search(case, k)}
    for peer in peers:
        ways[peer] = lambda case, peer=peer: case.peers[peer](case.candidates, k)  # type: ignore[misc]
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):  # the first warms up
        for way, search in ways.items():
            for case in cases:
                began = time.perf_counter()
                search(case)
                if number:
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
