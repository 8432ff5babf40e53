"""The history pool against plain lists: what it holds is right, and what it cannot hold it does not claim to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import BudgetError
from muse_stream.gsu_engine.kernels.residents import PAGE
from muse_stream.gsu_engine.pool import PAGE_BYTES, USER_BYTES, HistoryPool
from tests.gsu_engine.pools import CAPS, SEEDS, STEPS, Model, Steps, append, enter

PAGE_AND_USER = PAGE_BYTES + USER_BYTES


def window(pool: HistoryPool, user: int, start: int, stop: int) -> list[int] | None:
    """The slots held at `[start, stop)`, None where not all of them are."""
    out = np.zeros(stop - start, np.uint32)
    one = np.array([user], np.int64)
    found = pool.copy(one, np.array([start]), np.array([stop]), np.array([0, stop - start]), out)
    return out.tolist() if found[0] else None


@given(pages=st.integers(1, 40), cap=CAPS, seed=SEEDS, steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_pool_never_lies(pages: int, cap: int, seed: int, steps: Steps) -> None:
    pool = HistoryPool(pages * PAGE_AND_USER, cap)
    model = Model([pool], [lambda user, start, stop: window(pool, user, start, stop)], seed)
    for step in steps:
        step(model)
        model.check()


def test_the_oldest_fall_off_page_by_page_and_the_last_cap_stay() -> None:
    pool = HistoryPool(100 * PAGE_AND_USER, cap=1_000)
    assert enter(pool, 1, 0, list(range(1_000)))
    for at in range(1_000, 5_000, 250):
        append(pool, {1: (at, list(range(at, at + 250)))})
    assert window(pool, 1, 4_000, 5_000) == list(range(4_000, 5_000))
    assert window(pool, 1, 3_000, 4_000) is None
    assert pool.stats().behaviours <= 1_000 + PAGE


def test_least_recently_used_users_leave_first() -> None:
    pool = HistoryPool(3 * PAGE_AND_USER, cap=PAGE)
    for user in (1, 2, 3):
        assert enter(pool, user, 0, [user])
    window(pool, 1, 0, 1)  # used
    append(pool, {2: (1, [9])})  # appended to, which is no use
    assert enter(pool, 4, 0, [4])
    assert pool.resident(np.array([1, 2, 3, 4])).tolist() == [True, False, True, True]
    assert pool.stats().evictions == 1


def test_a_user_larger_than_the_pool_is_not_kept_and_disturbs_nobody() -> None:
    pool = HistoryPool(2 * PAGE_AND_USER, cap=10 * PAGE)
    assert enter(pool, 1, 0, [1])
    assert not enter(pool, 2, 0, [2] * (3 * PAGE))
    assert pool.resident(np.array([1, 2])).tolist() == [True, False]


def test_growing_users_push_others_out_and_leave_when_alone_too_large() -> None:
    pool = HistoryPool(4 * PAGE_AND_USER, cap=10 * PAGE)
    assert enter(pool, 1, 0, [1] * PAGE)
    assert enter(pool, 2, 0, [2] * PAGE)
    append(pool, {2: (PAGE, [2] * (3 * PAGE))})
    assert pool.resident(np.array([1, 2])).tolist() == [False, True]
    append(pool, {2: (4 * PAGE, [2])})
    assert not pool.resident(np.array([1, 2])).any()
    assert pool.stats().behaviours == 0


def test_what_was_read_before_a_departure_does_not_come_in_after_it() -> None:
    pool = HistoryPool(10 * PAGE_AND_USER, cap=100)
    before = pool.departures
    pool.drop(np.array([7]))
    assert not pool.enter(7, 0, np.ones(3, np.uint32), departures=before)
    rows = np.array([7]), np.array([0]), np.array([0, 1]), np.ones(1, np.uint32)
    assert not pool.append(*rows, departures=before)


def test_bytes_per_behaviour_of_long_histories() -> None:
    pool = HistoryPool(1 << 24, cap=100_000)
    rng = np.random.default_rng(0)
    total = 0
    for user in range(1, 61):
        start, length = int(rng.integers(0, 10**6)), int(rng.integers(10_000, 30_000))
        assert enter(pool, user, start, [1] * length)
        total += length
    stats = pool.stats()
    assert stats.behaviours == total
    assert stats.bytes / total <= 5


def test_thousands_of_users_grow_the_user_table() -> None:
    pool = HistoryPool(4_000 * PAGE_AND_USER, cap=10)
    for user in range(1, 3_001):
        assert enter(pool, user, user, [user])
    assert all(window(pool, user, user, user + 1) == [user] for user in range(1, 3_001))
    pool.clear()
    assert pool.stats().users == pool.stats().behaviours == 0


def test_a_budget_below_one_page_is_refused() -> None:
    with pytest.raises(BudgetError, match="100 bytes"):
        HistoryPool(100, cap=10)
