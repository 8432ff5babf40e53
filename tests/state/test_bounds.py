"""Disk and memory stay flat: ten times what is kept goes through a store, and what lies there is what is kept."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.keys import BEHAVIOURS, BEHAVIOURS_END
from muse_stream.state.rules import Rules
from muse_stream.state.segments import CHUNK_ROWS
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY

USERS, BATCH_ROWS = 40, 1_000
BUDGET = StoreBudget(block_cache_bytes=1 << 20, write_buffer_bytes=4 << 20, tail_users=64)


@dataclass(frozen=True)
class Size:
    """What lies there after everything was merged."""

    rows: int
    segments: int
    file_bytes: int
    cached_tails: int
    window: int


def size_of(store: BehaviourStore) -> Size:
    store._database.db.flush()
    store._database.db.compact_range(None, None)
    with store._database.cursor() as cursor:
        sizes = [len(value) // 29 for _, value in cursor.walk(BEHAVIOURS, BEHAVIOURS_END)]
    stats = store.stats()
    return Size(sum(sizes), len(sizes), stats.disk_bytes, stats.cached_tails, stats.window)


def append(store: BehaviourStore, users: np.ndarray, rng: np.random.Generator, broker_time_ms: int) -> None:
    """A batch of these users' rows, which nothing compresses."""
    rows, position = len(users), store.position
    batch = BehaviourBatch(
        user=users.astype(np.int64),
        item=rng.integers(-(2**63), 2**63 - 1, rows),
        time_ms=rng.integers(0, 2**62, rows),
        action=rng.integers(0, 256, rows).astype(np.uint8),
        category=rng.integers(0, 2**62, rows),
        event_id=rng.integers(1, 2**62, rows).astype(np.uint64),
        broker_time_ms=np.full(rows, broker_time_ms),
        offset=np.arange(position, position + rows),
        erase=np.zeros(rows, np.bool_),
    )
    store.append(batch, position=position + rows)


def test_ten_times_the_cap(tmp_path: Path) -> None:
    rng, cap = np.random.default_rng(0), 500
    sizes = []
    with closing(BehaviourStore.open(tmp_path, IDENTITY, Rules(cap, duplicate_window=2_000), budget=BUDGET)) as store:
        for _ in range(10):
            for _ in range(USERS * cap // BATCH_ROWS):
                append(store, rng.integers(0, USERS, BATCH_ROWS), rng, 0)
            sizes.append(size_of(store))
    kept = USERS * (cap + 2 * CHUNK_ROWS)
    assert max(size.rows for size in sizes) <= kept
    assert max(size.segments for size in sizes) <= USERS * (kept // USERS // CHUNK_ROWS + BATCH_ROWS)
    assert max(size.file_bytes for size in sizes[2:]) <= 1.1 * (29 * kept + 16 * 2_000) + 20_000
    assert sizes[-1].cached_tails <= 2 * USERS
    assert sizes[-1].window == 2_000


@pytest.mark.parametrize("idle", [False, True])
def test_ten_times_to_live(tmp_path: Path, idle: bool) -> None:
    """Users who act all the time, or each for one time to live and then not for nine more."""
    rng, rules = np.random.default_rng(0), Rules(duplicate_window=2_000, ttl_seconds=100)
    per_second, group = 100, USERS // 10
    sizes = []
    with closing(BehaviourStore.open(tmp_path, IDENTITY, rules, budget=BUDGET)) as store:
        for period in range(10):
            for second in range(100 * period, 100 * (period + 1), 2):
                low = (second // 100 % 10) * group if idle else 0
                users = rng.integers(low, low + (group if idle else USERS), 2 * per_second)
                append(store, users, rng, 1_000 * (1_000 + second))
            sizes.append(size_of(store))
            alive = sum(len(store.sequence(user)) for user in range(USERS))
            assert alive <= 102 * per_second
    kept = (1.6 * 100 + 2) * per_second + USERS * CHUNK_ROWS
    assert max(size.rows for size in sizes) <= kept
    assert max(size.file_bytes for size in sizes) <= 1.1 * (29 * kept + 16 * 2_000) + 20_000
    assert max(size.cached_tails for size in sizes) <= 2 * USERS
    assert max(size.rows for size in sizes[5:]) <= 1.2 * max(size.rows for size in sizes[:5])
