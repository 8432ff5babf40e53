"""What new behaviours cost retrieval: appends, and questions asked again after a few rows came.

A standing answer is brought up to date by scoring the new rows alone; its peer is a search of ours over packed rows for
the same candidates. Sliding by one (the newest row in, the oldest out of a full history) is compared with FAISS, which
removes and adds. Rounds take turns; what is timed is the whole call.
"""

import importlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.benchmarks.vectors import history, unit_vectors
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable, quantise

K, DIMENSION = 50, 128
USER = 1
CROWD = 1_000  # users of one batched append
WARM_UPS = 3  # the third search lets its answers stand


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

    def append(self, rows: int) -> float:
        """New rows for the one user; seconds that the engine took."""
        new = self.rng.integers(1, self.number + 1, rows)
        stop = self.starts[USER] + len(self.of[USER])
        began = time.perf_counter()
        self.engine.append(np.array([USER]), np.array([stop]), np.array([0, rows]), new)
        seconds = time.perf_counter() - began
        self.of[USER] = np.concatenate((self.of[USER], new))[-self.length :]
        self.starts[USER] = stop + rows - len(self.of[USER])
        return seconds

    def append_crowd(self) -> float:
        """A new row for each of the crowd; seconds per row."""
        users = np.arange(2, CROWD + 2)
        stops = np.array([self.starts[user] + len(self.of[user]) for user in users.tolist()])
        new = self.rng.integers(1, self.number + 1, CROWD)
        began = time.perf_counter()
        self.engine.append(users, stops, np.arange(CROWD + 1), new)
        seconds = time.perf_counter() - began
        for user, item in zip(users.tolist(), new.tolist(), strict=True):
            self.of[user] = np.append(self.of[user], item)
        return seconds / CROWD

    def batch(self, candidates: NDArray[np.int64]) -> SearchBatch:
        """These candidates over the live history."""
        start, live = self.items(USER)
        vectors, norms = self.table.lookup(candidates)
        window = np.array([start]), np.array([start + len(live)])
        return SearchBatch(np.array([USER]), *window, np.array([0, len(candidates)]), vectors, norms)

    def search(self, candidates: NDArray[np.int64]) -> float:
        """Seconds of a search."""
        batch = self.batch(candidates)
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
    asked = world.rng.integers(1, items + 1, candidates)
    for _ in range(WARM_UPS):
        world.search(asked)
    standing, fresh = [], []
    for _ in range(rounds):
        world.append(new_rows)
        standing.append(world.search(asked))
        fresh.append(world.search(world.rng.permutation(items)[:candidates] + 1))
    name = f"{candidates} candidates asked again, {new_rows} rows came (L={length})"
    rows = [lower_is_better(name, 1e3 * statistics.median(standing), "ms", {"fresh": 1e3 * statistics.median(fresh)})]
    slides = [world.append(1) for _ in range(rounds)]
    peers = _faiss(world, rounds)
    rows.append(lower_is_better(f"slide by one (L={length})", 1e6 * statistics.median(slides), "us", peers))
    crowd = statistics.median(world.append_crowd() for _ in range(rounds))
    rows.append(lower_is_better(f"append a row, {CROWD} users in a batch", 1e6 * crowd, "us", {}))
    return rows


def _faiss(world: _World, rounds: int) -> dict[str, float]:
    """Microseconds to remove the oldest row and add one; nothing where FAISS is not installed."""
    try:
        faiss: Any = importlib.import_module("faiss")
    except ImportError:
        return {}
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(world.vectors[world.of[USER] - 1].astype(np.float32))
    row = world.vectors[:1].astype(np.float32)

    def slide() -> None:
        index.remove_ids(np.array([0]))
        index.add(row)

    return {"FAISS flat": 1e6 * _median(slide, rounds)}


def _median(work: Callable[[], None], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
