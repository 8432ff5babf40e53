"""How fast this machine searches and scores: what the cost model begins with, before the first request teaches it more.

Only what depends most on the machine is measured, on made-up rows: what a pass takes by itself, a candidate times a
behaviour, a scored candidate. The least of a few runs counts, so that a busy moment is not taken for a slow machine.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from muse_stream.esu_scorer import ServedModel
from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable
from muse_stream.streams.serving.cost import SEED, CostModel
from muse_stream.streams.serving.gather import Ids
from muse_stream.streams.worker.model import warm_up_batch

ROWS, CANDIDATES, ITEMS, RUNS = 20_000, 200, 2_000, 7
"""A usual request; with 2 000 vectors of 128 bytes a run takes a few milliseconds and needs no memory to speak of."""
BYTES = 1 << 22
LEAST_PART = 0.1
"""Of a usual request's time belongs to its size, whatever the difference of two noisy measurements says."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """A history of `ROWS` behaviours for whoever is asked for."""

    history: Ids

    def items(self, user: int) -> tuple[int, Ids]:
        return 0, self.history


class _Searches:
    """Searches of one user, with other candidates each time: an answer may stand, and would be had for nothing."""

    def __init__(self, backend: str, threads: int | None, dimension: int, k: int) -> None:
        self._rng, self._k = np.random.default_rng(0), k
        table = VectorTable("pace", dimension, ItemIndex(max_items=1 << 12), budget_bytes=1 << 20)
        table.put(np.arange(1, ITEMS + 1), self._rng.integers(-127, 128, (ITEMS, dimension), np.int8))
        self._engine = GsuEngine(table, backend=backend, threads=threads, pool_bytes=BYTES, gpu_bytes=BYTES)
        self._rows = _Rows(self._rng.integers(1, ITEMS + 1, ROWS))

    def search(self, candidates: int, rows: int) -> None:
        vectors, inv_norms = self._engine.table.lookup(self._rng.integers(1, ITEMS + 1, candidates))
        batch = SearchBatch(
            users=np.array([1], np.int64),
            starts=np.array([ROWS - rows], np.int64),
            stops=np.array([ROWS], np.int64),
            bounds=np.array([0, candidates], np.int64),
            vectors=vectors,
            inv_norms=inv_norms,
        )
        self._engine.search(batch, self._k, 0, self._rows)


def measure(costs: CostModel, scorer: ServedModel, searches: tuple[str, int | None, int, int]) -> None:
    """Measure, and let the cost model begin with it.

    Args:
        costs: The model.
        scorer: The network in service.
        searches: Backend, threads, dimension and K, as `warm_up` takes them.

    """
    made = _Searches(*searches)
    one, usual = (warm_up_batch(scorer.info, count) for count in (1, CANDIDATES))
    score_one, score_usual = _least_ms(lambda: scorer.score(one)), _least_ms(lambda: scorer.score(usual))
    search_one, search_usual = _least_ms(lambda: made.search(1, 1)), _least_ms(lambda: made.search(CANDIDATES, ROWS))
    pair_ms = _of_size(search_one, search_usual) / (CANDIDATES * ROWS)
    scored_ms = _of_size(score_one, score_usual) / CANDIDATES
    costs.begin(
        SEED._replace(
            find=SEED.find._replace(passes=search_one, pairs=pair_ms),
            score=SEED.score._replace(passes=score_one, scored=scored_ms),
        )
    )


def _of_size(least_ms: float, usual_ms: float) -> float:
    """The part of a usual request's time that belongs to its size."""
    return max(usual_ms - least_ms, LEAST_PART * usual_ms)


def _least_ms(work: Callable[[], object]) -> float:
    """The shortest of some runs."""
    work()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) * 1e3
