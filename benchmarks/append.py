"""Behaviours per second into the store: decoded columns in, durable rows and position out.

Batches of 200 000 users whose activity follows Zipf's law (1.05), into a new store, in one process. Without peers: see
`bench ingest` for whole systems side by side.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muse_stream.benchmarks.report import Row
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore

USERS = 200_000
EXPONENT = 1.05
SIZES = (100, 1_000, 10_000)


def run(sizes: tuple[int, ...] = SIZES, rows: int = 1_000_000) -> list[Row]:
    """One row per batch size and per use of event ids: behaviours per second."""
    return [
        Row(f"append in batches of {size}{', with event ids' * ids}", _rate(size, rows, event_ids=ids), "behaviours/s")
        for size in sizes
        for ids in (False, True)
    ]


def _rate(size: int, rows: int, *, event_ids: bool) -> float:
    rng = np.random.default_rng(0)
    rows = min(rows, size * 2_000)
    users = zipf_users(rng, rows)
    batches = [
        behaviours(rng, users[begin : begin + size], begin, event_ids=event_ids) for begin in range(0, rows, size)
    ]
    with tempfile.TemporaryDirectory() as directory:
        store = BehaviourStore.open(Path(directory), StoreIdentity("benchmark", "behaviours", 0, 1), Rules())
        store.append(batches[0], position=size)
        began = time.perf_counter()
        for batch in batches[1:]:
            store.append(batch, position=int(batch.offset[-1]) + 1)
        rate = (rows - size) / (time.perf_counter() - began)
        store.close()
    return rate


def zipf_users(rng: np.random.Generator, rows: int, users: int = USERS) -> NDArray[np.int64]:
    """`[rows] int64` user ids 1 .. users, drawn by Zipf's law cut at `users`."""
    weights = np.arange(1, users + 1) ** -EXPONENT
    return np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(rows)).astype(np.int64) + 1


def behaviours(rng: np.random.Generator, users: NDArray[np.int64], offset: int, *, event_ids: bool) -> BehaviourBatch:
    """A batch of made-up behaviours of these users, in log order from `offset` on."""
    rows = len(users)
    ids = rng.integers(1, 2**63, rows) if event_ids else np.zeros(rows, np.int64)
    return BehaviourBatch(
        user=users,
        item=rng.integers(1, 10_000_000, rows),
        time_ms=1_700_000_000_000 + np.arange(offset, offset + rows),
        action=rng.integers(0, 6, rows).astype(np.uint8),
        category=rng.integers(1, 10_000, rows),
        event_id=ids.astype(np.uint64),
        broker_time_ms=1_700_000_000_000 + np.arange(offset, offset + rows),
        offset=np.arange(offset, offset + rows),
        erase=np.zeros(rows, np.bool_),
    )
