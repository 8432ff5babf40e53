"""What new behaviours cost retrieval: appends, and questions asked again after a few rows came.

A standing answer is brought up to date by scoring the new rows alone; its peer is a fresh search of ours over packed
rows, for as many other candidates. Sliding by one (the newest row in, the oldest out of a full history) is compared
with FAISS, which removes and adds. Appends are to resident users, one row for one user in a batch, or one for each of
many. Rounds take turns; what is timed is the whole call, its arrays ready.
"""

import importlib
import os
import statistics
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.benchmarks.gsu_data import asked
from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.benchmarks.vectors import history, unit_vectors
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable, quantise
from muse_stream.gsu_engine.arrays import I8
from muse_stream.gsu_engine.quantise import inverse_norms

K, DIMENSION = 50, 128
USER = 1
CROWD = 1_000  # users of one batched append
SLIDES = 8  # in a row: each system finds the caches as it left them itself
WARM_UPS = 3  # the third search lets its answers stand
SHORT = 10  # times as many rounds of what takes microseconds


class _World:
    """One full history, a crowd of short ones, and two engines: in one of them no answer stands for long."""

    def __init__(self, length: int, items: int, threads: int) -> None:
        self.rng = np.random.default_rng(0)
        self.length, self.number = length, items
        self.table = VectorTable("benchmark", DIMENSION, ItemIndex(max_items=2 * items), items * (DIMENSION + 4))
        self.vectors = quantise(unit_vectors(self.rng, items, DIMENSION))
        self.table.put(np.arange(items) + 1, self.vectors)
        self.engine = GsuEngine(self.table, cap=length, backend="cpu", threads=threads)
        self.of = {USER: history(self.rng, length, items)}
        self.of |= {user: history(self.rng, 100, items) for user in range(2, CROWD + 2)}
        self.starts = dict.fromkeys(self.of, 0)
        for user in self.of:
            self.engine.prefetch(user, self)

    def items(self, user: int) -> tuple[int, NDArray[np.int64]]:
        """The live history (`HistorySource`)."""
        return self.starts[user], self.of[user]

    def append(self, users: NDArray[np.int64], rows: int = 1) -> float:
        """New rows for each of these users; seconds that the engine took for one row."""
        new = self.rng.integers(1, self.number + 1, (len(users), rows))
        stops = np.array([self.starts[user] + len(self.of[user]) for user in users.tolist()])
        bounds, items = np.arange(len(users) + 1) * rows, new.ravel()
        began = time.perf_counter()
        self.engine.append(users, stops, bounds, items)
        seconds = time.perf_counter() - began
        for user, stop, more in zip(users.tolist(), stops.tolist(), new, strict=True):
            self.of[user] = np.concatenate((self.of[user], more))[-self.length :]
            self.starts[user] = stop + rows - len(self.of[user])
        return seconds / new.size

    def question(self, candidates: int) -> I8:
        """Vectors that were never asked for before."""
        return asked(self.rng, self.vectors[self.rng.integers(0, self.number, candidates)])

    def search(self, vectors: I8) -> float:
        """Seconds of a search for these candidates over the live history."""
        start, live = self.items(USER)
        window = np.array([start]), np.array([start + len(live)])
        bounds = np.array([0, len(vectors)])
        batch = SearchBatch(np.array([USER]), *window, bounds, vectors, inverse_norms(vectors))
        began = time.perf_counter()
        self.engine.search(batch, K, 0, self)
        return time.perf_counter() - began


def run(
    *,
    length: int = 100_000,
    candidates: int = 1_000,
    new_rows: int = 16,
    items: int = 300_000,
    threads: int = 0,
    rounds: int = 30,
    quick: bool = False,
) -> list[Row]:
    """Medians: a question asked again, appends, and sliding by one.

    Args:
        length: Behaviours of the history.
        candidates: Candidates of the question.
        new_rows: Behaviours that came since it was asked.
        items: Items in the table.
        threads: For ours and the peers; 0 = one per core.
        rounds: Of each.
        quick: Three rounds, a tenth of the history.

    """
    rounds, length = (3, length // 10) if quick else (rounds, length)
    world = _World(length, items, threads or len(os.sched_getaffinity(0)))
    return [_standing(world, candidates, new_rows, rounds), _slide(world, rounds), *_appends(world, SHORT * rounds)]


def _standing(world: _World, candidates: int, new_rows: int, rounds: int) -> Row:
    """The same question again and again while rows come, beside fresh ones."""
    one, again = np.array([USER]), world.question(candidates)
    world.append(one, new_rows)  # from now on the history is full, and rows leave its window as others come
    for _ in range(WARM_UPS):
        world.search(again)
    standing, fresh = [], []
    for _ in range(rounds):
        world.append(one, new_rows)
        standing.append(world.search(again))
        fresh.append(world.search(world.question(candidates)))
    name = f"{candidates} candidates asked again, {new_rows} rows came (L={world.length})"
    peers = {"a fresh search of ours": 1e3 * statistics.median(fresh)}
    return lower_is_better(name, 1e3 * statistics.median(standing), "ms", peers)


def _slide(world: _World, rounds: int) -> Row:
    """The newest row in, the oldest out of a full history; FAISS where it is installed."""
    one, index = np.array([USER]), _faiss(world)
    ours, theirs = [], []
    for _ in range(rounds):
        ours += [world.append(one) for _ in range(SLIDES)]
        row = world.vectors[:1].astype(np.float32)
        theirs += [] if index is None else [_replace(index, row) for _ in range(SLIDES)]
    peers = {"FAISS flat": 1e6 * statistics.median(theirs)} if theirs else {}
    return lower_is_better(f"slide by one (L={world.length})", 1e6 * statistics.median(ours), "us", peers)


def _appends(world: _World, rounds: int) -> list[Row]:
    """A row for a user with a short history, alone and in a batch with other users'."""
    crowd = np.arange(2, CROWD + 2)
    single = statistics.median(world.append(crowd[turn % CROWD :][:1]) for turn in range(rounds))
    batched = statistics.median(world.append(crowd) for _ in range(rounds))
    return [
        lower_is_better("append a row, a batch of one", 1e6 * single, "us", {}),
        lower_is_better(f"append a row, {CROWD} users in a batch", 1e6 * batched, "us", {}),
    ]


def _faiss(world: _World) -> Any:  # noqa: ANN401 - FAISS has no annotations
    """An index of the history's rows; None where FAISS is not installed."""
    try:
        faiss: Any = importlib.import_module("faiss")
    except ImportError:
        return None
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(world.vectors[world.of[USER] - 1].astype(np.float32))
    return index


def _replace(index: Any, row: NDArray[np.float32]) -> float:  # noqa: ANN401
    """Remove the oldest row and add one: seconds."""
    oldest = np.array([0])
    began = time.perf_counter()
    index.remove_ids(oldest)
    index.add(row)
    return time.perf_counter() - began
