"""Bytes of memory per behaviour of resident histories, and per item of the tables that all users share.

Users with histories of one length are loaded into an empty pool; the engine's own count stands beside what the
operating system says the process grew by. Then half as many behaviours again arrive in 64 batches for every user, so
that pages fill as a stream fills them. The goal of the pool is at most 5 bytes a behaviour.
"""

import numpy as np
import psutil
from numpy.typing import NDArray

from muse_stream.benchmarks.report import Row
from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable

I64 = NDArray[np.int64]

DIMENSION = 128
CHUNK = 50_000  # items put at once
APPENDS = 64


class _Histories:
    """The same random items for every user (`HistorySource`)."""

    def __init__(self, items: I64) -> None:
        self._items = items

    def items(self, user: int) -> tuple[int, I64]:
        """Start position 0 and the items."""
        return 0, self._items


def run(*, lengths: str = "10000,100000", behaviours: int = 10_000_000, items: int = 100_000) -> list[Row]:
    """Rows per history length, then per item.

    Args:
        lengths: Behaviours per history, separated by commas.
        behaviours: In the pool in all.
        items: Items with a vector of 128 bytes.

    """
    rng = np.random.default_rng(0)
    rows = [row for length in map(int, lengths.split(",")) for row in _pool(rng, length, behaviours, items)]
    return [*rows, *_tables(rng, items)]


def _pool(rng: np.random.Generator, length: int, behaviours: int, items: int) -> list[Row]:
    table = _filled(rng, items)
    engine = GsuEngine(table, cap=2 * length, pool_bytes=16 * behaviours, backend="reference")
    source = _Histories(rng.integers(1, items + 1, length))
    users = np.arange(1, max(1, behaviours // length) + 1)
    engine.prefetch(int(users[0]), source)  # loads the code
    before = psutil.Process().memory_info().rss
    for user in users[1:].tolist():
        engine.prefetch(user, source)
    grown = psutil.Process().memory_info().rss - before
    name = f"history {length}, {len(users)} users"
    rows = [_per_behaviour(f"{name}, loaded", engine)]
    if len(users) > 1:
        share = grown / (length * (len(users) - 1))
        rows.append(Row(f"{name}, loaded, growth of the process", share, "bytes per behaviour"))
    _append(rng, engine, users, length, items)
    return [*rows, _per_behaviour(f"{name}, half as much again arrived", engine)]


def _append(rng: np.random.Generator, engine: GsuEngine, users: I64, length: int, items: int) -> None:
    each = max(1, length // 2 // APPENDS)
    bounds = np.arange(0, each * len(users) + 1, each)
    for number in range(APPENDS):
        starts = np.full(len(users), length + number * each)
        engine.append(users, starts, bounds, rng.integers(1, items + 1, each * len(users)))


def _per_behaviour(name: str, engine: GsuEngine) -> Row:
    pool = engine.stats().pool
    return Row(name, pool.bytes / pool.behaviours, "bytes per behaviour")


def _tables(rng: np.random.Generator, items: int) -> list[Row]:
    table = _filled(rng, items)
    return [
        Row(
            f"{items} items: rows, norms and row numbers, d={DIMENSION}", table.stats().bytes / items, "bytes per item"
        ),
        Row(f"{items} items: index", table.index.stats().bytes / items, "bytes per item"),
    ]


def _filled(rng: np.random.Generator, items: int) -> VectorTable:
    table = VectorTable("benchmark", DIMENSION, ItemIndex())
    for first in range(1, items + 1, CHUNK):
        ids = np.arange(first, min(first + CHUNK, items + 1))
        table.put(ids, rng.integers(-127, 128, (len(ids), DIMENSION), np.int8))
    return table
