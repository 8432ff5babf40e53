"""Time of one search for many users of all lengths, beside the same users searched one by one.

One call has to share users from 0 to 100 000 behaviours and from 1 to 2 000 candidates among the threads, so that all
of them finish together. Both ways take turns, each with questions that were never asked before. Threads that wait use
no CPU, so the CPU time of a call is its time in threads that work: `threads at work` is their share. A call also works
outside of the threads' common part, so that even a perfect division stays below 100 %.
"""

import os
import statistics
import time
from dataclasses import dataclass

import numpy as np

from muse_stream.benchmarks.gsu_data import asked, make
from muse_stream.benchmarks.gsu_world import World
from muse_stream.benchmarks.report import Row, higher_is_better, lower_is_better
from muse_stream.benchmarks.vectors import I64
from muse_stream.gsu_engine import GsuEngine, SearchBatch
from muse_stream.gsu_engine.quantise import inverse_norms

ITEMS, DIMENSION, K = 300_000, 128, 50
WARM_UPS = 3  # the second makes users hot, the third is the first of its kind
PACKED_BYTES = 2 << 30  # all users stay hot


@dataclass(frozen=True, slots=True)
class Mix:
    """Users of one call: behaviours and candidates of each, `[users] int64`."""

    name: str
    lengths: I64
    candidates: I64


def mixes(rng: np.random.Generator, longest: int, most: int) -> list[Mix]:
    """All sizes together; many small ones; small ones with a single large one, which has to be divided."""
    small = min(longest, 1_000)
    return [
        Mix("60 users of all sizes", _sizes(rng, 60, longest, least=0), _sizes(rng, 60, most, least=1)),
        Mix("400 small users", _sizes(rng, 400, small, least=0), _sizes(rng, 400, 20, least=1)),
        Mix("a large user and 99 small ones", _one_large(rng, small, longest), _one_large(rng, 20, most // 2)),
    ]


def _sizes(rng: np.random.Generator, count: int, most: int, *, least: int) -> I64:
    """Evenly spread on a logarithmic scale, the two ends among them."""
    sizes = np.exp(rng.uniform(0, np.log(most), count)).astype(np.int64)
    sizes[:2] = most, least
    return rng.permutation(sizes)


def _one_large(rng: np.random.Generator, small: int, large: int) -> I64:
    sizes = _sizes(rng, 100, small, least=1)
    sizes[len(sizes) // 2] = large
    return sizes


def run(
    *,
    longest: int = 100_000,
    most: int = 2_000,
    backend: str = "auto",
    threads: int = 0,
    rounds: int = 9,
    quick: bool = False,
) -> list[Row]:
    """Per mix of users: median milliseconds of the one call and of all single ones, and how busy the threads are.

    Args:
        longest: Behaviours of the longest history.
        most: Candidates of the largest question.
        backend: Ours.
        threads: Of ours; 0 = one per core.
        rounds: Per mix.
        quick: Two rounds.

    """
    rng = np.random.default_rng(0)
    threads = threads or len(os.sched_getaffinity(0))
    world = World(make("mixture", rng, ITEMS, DIMENSION), rng, backend, threads, cold=False)
    rows: list[Row] = []
    for mix in mixes(rng, longest, most):
        rows += _measure(_Users(world, rng, backend, mix), 2 if quick else rounds)
    return rows


class _Users:
    """The users of one mix, in an engine of their own."""

    def __init__(self, world: World, rng: np.random.Generator, backend: str, mix: Mix) -> None:
        self.mix, self.threads, self._world, self._rng = mix, world.threads, world, rng
        self._items = [world.data.history(length) for length in mix.lengths.tolist()]
        self._engine = GsuEngine(world.table, packed_bytes=PACKED_BYTES, backend=backend, threads=world.threads)

    def items(self, user: int) -> tuple[int, I64]:
        """Start position 0 and the items (`HistorySource`)."""
        return 0, self._items[user - 1]

    def batch(self) -> SearchBatch:
        """New questions to all of them."""
        count, total = len(self._items), int(self.mix.candidates.sum())
        items = self._rng.integers(1, self._world.data.items + 1, total)
        vectors = asked(self._rng, self._world.table.lookup(items)[0])
        bounds = np.concatenate(([0], np.cumsum(self.mix.candidates)))
        users = np.arange(1, count + 1)
        return SearchBatch(users, 0 * users, self.mix.lengths, bounds, vectors, inverse_norms(vectors))

    def search(self, batch: SearchBatch) -> None:
        """Ours."""
        self._engine.search(batch, K, 0, self)

    def check(self) -> None:
        """Raise `RuntimeError` where an answer stood already."""
        packed = self._engine.stats().packed
        if packed and packed.served:
            message = f"{packed.served} candidates were not searched for: they had been asked before"
            raise RuntimeError(message)


def _singles(batch: SearchBatch) -> list[SearchBatch]:
    """The same pairs, one call each."""
    found = []
    for pair in range(len(batch.users)):
        one, low, high = slice(pair, pair + 1), int(batch.bounds[pair]), int(batch.bounds[pair + 1])
        window = batch.users[one], batch.starts[one], batch.stops[one]
        found.append(
            SearchBatch(*window, np.array([0, high - low]), batch.vectors[low:high], batch.inv_norms[low:high])
        )
    return found


def _measure(users: _Users, rounds: int) -> list[Row]:
    together, single, busy = [], [], []
    for number in range(WARM_UPS + rounds):
        batch, singles = users.batch(), _singles(users.batch())
        began, worked = time.perf_counter(), time.process_time()
        users.search(batch)
        middle, worked = time.perf_counter(), time.process_time() - worked
        for one in singles:
            users.search(one)
        if number >= WARM_UPS:
            together.append(1e3 * (middle - began))
            single.append(1e3 * (time.perf_counter() - middle))
            busy.append(100 * worked / ((middle - began) * users.threads))
    users.check()
    peers = {"the same users one by one": statistics.median(single)}
    row = lower_is_better(f"{users.mix.name} in a call", statistics.median(together), "ms", peers)
    return [row, higher_is_better(f"{users.mix.name}: threads at work", statistics.median(busy), "%", {})]
