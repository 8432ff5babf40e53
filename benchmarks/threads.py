"""How many threads for the search, how many for the scorer: a pass of both, alone and beside a thread of Python.

A pass is what the batcher does for one request: 200 candidates over one resident history that was never asked for them
before, then their scores. Beside it runs what reading 10 000 behaviours/s costs a worker: a thread that needs the
interpreter for 3 ms of every 10; how late it is tells what freshness loses. Pairs of thread counts take turns.
"""

from __future__ import annotations

import os
import threading
import time

import numpy as np

from muse_stream.benchmarks.gsu_data import asked
from muse_stream.benchmarks.report import Row
from muse_stream.benchmarks.vectors import I64, history, unit_vectors
from muse_stream.esu_scorer import Artefact, FeatureSpec, ScoreBatch, Scorer
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, SearchResult, VectorTable, quantise
from muse_stream.gsu_engine.arrays import I8
from muse_stream.gsu_engine.quantise import inverse_norms

K, DIMENSION, USER = 50, 128, 1
SPEC = FeatureSpec.of({"item": 16, "category": 16}, {"country": 16})
CATEGORIES = 1_000
BUSY_SECONDS, PERIOD_SECONDS = 0.003, 0.010
WARM_UPS = 3
Pair = tuple[int, int]


def run(*, length: int = 10_000, candidates: int = 200, items: int = 120_000, rounds: int = 300) -> list[Row]:
    """Per pair of thread counts: ms of a pass, median and 99th percentile, and how late the other thread is.

    Args:
        length: Behaviours of the history.
        candidates: Per pass.
        items: With vectors.
        rounds: Passes measured per pair, alone and again beside the other thread.

    """
    cores = len(os.sched_getaffinity(0))
    counts = sorted({1, cores})
    pairs = [(searching, scoring) for searching in counts for scoring in counts]
    world = _World(length, items, candidates)
    passes = {pair: _Pass(world, *pair) for pair in pairs}
    rows = []
    for beside in (False, True):
        times, late = _measure(passes, rounds, beside=beside)
        rows += [row for pair in pairs for row in _rows(pair, times[pair], late[pair])]
    return rows


class _World:
    """Items, one user's history, a model."""

    def __init__(self, length: int, items: int, candidates: int) -> None:
        self.rng, self.candidates, self.length = np.random.default_rng(0), candidates, length
        self.table = VectorTable("benchmark", DIMENSION, ItemIndex(max_items=2 * items), items * (DIMENSION + 4))
        self.vectors = quantise(unit_vectors(self.rng, items, DIMENSION))
        self.table.put(np.arange(items) + 1, self.vectors)
        self.history = history(self.rng, length, items)
        known = {"item": np.arange(1, items + 1), "category": np.arange(1, CATEGORIES + 1)}
        self.artefact = Artefact.untrained(SPEC, known, seed=0, space="v1")

    def items(self, user: int) -> tuple[int, I64]:
        """The live history (`HistorySource`)."""
        del user
        return 0, self.history

    def question(self) -> I8:
        """Vectors that were never asked for before."""
        return asked(self.rng, self.vectors[self.rng.integers(0, len(self.vectors), self.candidates)])


class _Pass:
    """A search and a score with so many threads each."""

    def __init__(self, world: _World, searching: int, scoring: int) -> None:
        self._world = world
        self._engine = GsuEngine(world.table, cap=world.length, backend="cpu", threads=searching)
        self._scorer = Scorer(world.artefact, threads=scoring)
        self._engine.prefetch(USER, world)
        for _ in range(WARM_UPS):
            self.milliseconds()

    def milliseconds(self) -> float:
        """One pass."""
        vectors, one = self._world.question(), np.array([USER])
        bounds = np.array([0, len(vectors)])
        batch = SearchBatch(one, 0 * one, one * self._world.length, bounds, vectors, inverse_norms(vectors))
        began = time.perf_counter()
        found = self._engine.search(batch, K, K, self._world)
        self._scorer.score(self._batch(found, bounds))
        return (time.perf_counter() - began) * 1e3

    def _batch(self, found: SearchResult, bounds: I64) -> ScoreBatch:
        live = self._world.history
        recent, mask = live[None, -K:][:, ::-1], found.positions >= 0
        retrieved = live[np.where(mask, found.positions, 0)]
        items = np.arange(1, len(mask) + 1)
        return ScoreBatch(
            user_features=np.ones((1, 1), np.int64),
            recent_item=recent,
            recent_category=recent % CATEGORIES + 1,
            recent_mask=np.ones(recent.shape, np.bool_),
            bounds=bounds,
            candidate_features=np.stack([items, items % CATEGORIES + 1], axis=1),
            recent_cosine=found.recent_scores,
            recent_cosine_present=found.recent_present,
            retrieved_item=retrieved,
            retrieved_category=retrieved % CATEGORIES + 1,
            retrieved_cosine=found.scores,
            retrieved_mask=mask,
        )


class _Reader:
    """A thread that needs the interpreter for a part of every period, and notes how late it was through with it."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        due = time.perf_counter()
        while not self._done.is_set():
            due = max(due + PERIOD_SECONDS, time.perf_counter() - PERIOD_SECONDS)
            time.sleep(max(due - time.perf_counter(), 0))
            began = time.thread_time()
            while time.thread_time() - began < BUSY_SECONDS:
                pass
            self.late_ms.append((time.perf_counter() - due - BUSY_SECONDS) * 1e3)

    def stop(self) -> list[float]:
        """How late it was, per period."""
        self._done.set()
        self._thread.join()
        return self.late_ms


def _measure(
    passes: dict[Pair, _Pass], rounds: int, *, beside: bool
) -> tuple[dict[Pair, list[float]], dict[Pair, list[float]]]:
    """Times of passes in ms, and lateness of the reader where there is one."""
    times: dict[Pair, list[float]] = {pair: [] for pair in passes}
    late: dict[Pair, list[float]] = {pair: [] for pair in passes}
    at_once = max(rounds // 10, 1)
    for _ in range(rounds // at_once):
        for pair, one in passes.items():
            reader = _Reader() if beside else None
            times[pair] += [one.milliseconds() for _ in range(at_once)]
            late[pair] += reader.stop() if reader else []
    return times, late


def _rows(pair: Pair, times: list[float], late: list[float]) -> list[Row]:
    case = f"search on {pair[0]}, scorer on {pair[1]}{', beside reading' if late else ''}"
    figures = {f"{case}: p50": np.median(times), f"{case}: p99": np.percentile(times, 99)}
    if late:
        figures[f"{case}: reading late, p99"] = np.percentile(late, 99)
    return [Row(name, float(value), "ms") for name, value in figures.items()]
