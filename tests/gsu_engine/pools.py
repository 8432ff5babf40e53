"""Page pools against plain lists: what they hold is right, and what they cannot hold they do not claim to."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from hypothesis import strategies as st

from muse_stream.gsu_engine.arrays import I64, U32
from muse_stream.gsu_engine.kernels.residents import PAGE
from muse_stream.gsu_engine.stats import PoolStats

Window = Callable[[int, int, int], list[int] | None]


class Pool(Protocol):
    """What `HistoryPool` and `DeviceHistories` have in common."""

    @property
    def cap(self) -> int: ...
    @property
    def departures(self) -> int: ...
    def enter(self, user: int, start: int, slots: U32, *, departures: int) -> bool: ...
    def append(self, users: I64, starts: I64, bounds: I64, slots: U32, *, departures: int) -> bool: ...
    def drop(self, users: I64) -> None: ...
    def spans(self) -> tuple[I64, I64, I64]: ...
    def stats(self) -> PoolStats: ...


def enter(pool: Pool, user: int, start: int, slots: list[int]) -> bool:
    return pool.enter(user, start, np.array(slots, np.uint32), departures=pool.departures)


def append(pool: Pool, rows: dict[int, tuple[int, list[int]]]) -> None:
    bounds = np.concatenate(([0], np.cumsum([len(slots) for _, slots in rows.values()]))).astype(np.int64)
    flat = np.array([slot for _, slots in rows.values() for slot in slots], np.uint32)
    starts = np.array([start for start, _ in rows.values()], np.int64)
    assert pool.append(np.array(list(rows), np.int64), starts, bounds, flat, departures=pool.departures)


class Model:
    """Every user's whole sequence; pools may forget but not lie.

    `windows` has for each of `pools` how to read it: the slots at `[start, stop)` of a user, None where some are not.
    """

    def __init__(self, pools: list[Pool], windows: list[Window], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.pools, self.windows, self.cap = pools, windows, pools[0].cap
        self.truth: dict[int, list[int]] = {user: [] for user in range(1, 7)}

    def some(self, count: int) -> list[int]:
        users: list[int] = self.rng.choice(sorted(self.truth), count, replace=False).tolist()
        return users

    def new(self, user: int) -> tuple[int, list[int]]:
        count = int(self.rng.choice([1, 2, 7, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE]))
        slots = self.rng.integers(0, 2**32, count).tolist()
        start = len(self.truth[user])
        self.truth[user] += slots
        return start, slots

    def append(self) -> None:
        rows = {user: self.new(user) for user in self.some(int(self.rng.integers(1, 7)))}
        for pool in self.pools:
            append(pool, rows)

    def miss(self) -> None:
        self.new(self.some(1)[0])

    def repeat(self) -> None:
        user = self.some(1)[0]
        start = int(self.rng.integers(0, len(self.truth[user]) + 1))
        for pool in self.pools:
            append(pool, {user: (start, self.truth[user][start:])})

    def enter(self) -> None:
        user = self.some(1)[0]
        start = max(len(self.truth[user]) - self.cap, 0)
        for pool in self.pools:
            enter(pool, user, start, self.truth[user][start:])

    def drop(self) -> None:
        users = np.array(self.some(2))
        for pool in self.pools:
            pool.drop(users)

    def check(self) -> None:
        for pool, window in zip(self.pools, self.windows, strict=True):
            self._check(pool, window)

    def _check(self, pool: Pool, window: Window) -> None:
        held = 0
        for user, truth in self.truth.items():
            start = max(len(truth) - self.cap, 0)
            low = int(self.rng.integers(start, len(truth) + 1))
            high = int(self.rng.integers(low, len(truth) + 1))
            got = window(user, low, high)
            assert got is None or got == truth[low:high]
            held += window(user, start, len(truth)) == truth[start:]
        stats = pool.stats()
        assert held <= stats.users <= len(self.truth)
        assert stats.bytes - 5 * 1_024 <= stats.budget_bytes  # 1 024 buckets are there from the start
        _, starts, stops = pool.spans()
        assert stats.behaviours == (stops - starts).sum()
        assert (stops - starts < self.cap + PAGE).all()


Steps = list[Callable[[Model], None]]
STEPS = st.lists(
    st.sampled_from([Model.append, Model.enter, Model.enter, Model.miss, Model.repeat, Model.drop]), min_size=8
)
CAPS = st.sampled_from((1, 100, PAGE, 3 * PAGE + 1))
SEEDS = st.integers(0, 2**32 - 1)
