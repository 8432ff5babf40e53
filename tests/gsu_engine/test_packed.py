"""Packed rows of hot users: who gets them, how they follow appends and vectors, how they leave."""

from collections.abc import Callable

import numpy as np
import pytest

from muse_stream.gsu_engine import GsuEngine, ItemIndex, SearchBatch, VectorTable
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.stats import PackedStats
from tests.gsu_engine.oracle import History, answer, assert_identical
from tests.gsu_engine.worlds import World, draw_vectors

DIMENSION, K, RECENT = 64, 7, 5
Make = Callable[..., "Follower"]


class Follower:
    """An engine and the truth; `search` compares the two."""

    def __init__(
        self, backend: Backend, *, cap: int = 10_000, packed_bytes: int = 1 << 22, max_items: int = 500
    ) -> None:
        self.rng = np.random.default_rng(1)
        self.cap = cap
        self.world = World(DIMENSION, {}, {}, self.rng)
        table = VectorTable("v1", DIMENSION, ItemIndex(max_items=max_items))
        self.engine = GsuEngine(table, cap=cap, pool_bytes=1 << 20, packed_bytes=packed_bytes, backend=backend)
        self.put(np.arange(1, 100))

    def put(self, items: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        rows = draw_vectors(self.rng, "full", len(items), DIMENSION)
        rows[:, 0] = 5  # none is all zero
        self.engine.put_vectors(items, rows)
        self.world.vectors.update(zip(items.tolist(), rows, strict=True))

    def append(self, user: int, items: list[int]) -> None:
        before = self.world.histories.get(user, History(0, []))
        everything = before.items + items
        stop = before.start + len(everything)
        self.world.histories[user] = History(max(before.start, stop - self.cap), everything[-self.cap :])
        starts, bounds = np.array([stop - len(items)]), np.array([0, len(items)])
        self.engine.append(np.array([user]), starts, bounds, np.array(items))

    def search(self, *users: int, windows: bool = False) -> PackedStats:
        batch = self.world.batch(list(users), [4] * len(users), windows=windows, masks=False)
        expected = answer(batch, self.world.histories, self.world.vectors, K, RECENT)
        assert_identical(self.engine.search(batch, K, RECENT, self.world), expected)
        return self.stats()

    def stats(self) -> PackedStats:
        packed = self.engine.stats().packed
        assert packed is not None
        return packed


@pytest.fixture
def make(packing: Backend) -> Make:
    """A follower on one of the backends that pack."""
    return lambda **options: Follower(packing, **options)


def test_the_second_search_packs_and_the_third_reads_it(make: Make) -> None:
    follower = make()
    follower.append(1, [5, 6, 7] * 100)
    assert follower.search(1).users == 0
    assert follower.search(1).users == 1
    assert follower.search(1).hits == 1
    assert follower.stats().misses == 2


def test_a_copy_follows_appends_without_being_made_anew(make: Make) -> None:
    follower = make()
    follower.append(1, [5, 6, 7, 200] * 10)
    for number in range(100):
        follower.search(1)
        follower.append(1, [1 + number % 90, 200] * (number % 7))
    assert follower.stats().misses == 2
    assert follower.stats().hits == 98


def test_vectors_that_change_are_renewed_in_place(make: Make) -> None:
    follower = make()
    follower.append(1, list(range(1, 60)) * 5)
    for _ in range(5):
        follower.search(1)
        follower.put(np.arange(50, 99))
    assert (follower.stats().misses, follower.stats().hits) == (2, 3)


@pytest.mark.parametrize("arrives", [True, False])
def test_a_vector_that_comes_or_goes_makes_the_copy_anew(make: Make, arrives: bool) -> None:
    follower = make()
    follower.append(1, [5, 200, 6, 200, 7] * 40)
    for _ in range(3):
        follower.search(1)
    if arrives:
        follower.put(np.array([200]))
    else:
        follower.engine.forget_vectors(np.array([6]))
        del follower.world.vectors[6]
    follower.search(1)
    assert follower.search(1).hits == 3
    assert follower.stats().users == 1


def test_more_changes_than_are_remembered_make_it_anew(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_stream.gsu_engine.table.CHANGES", 4)
    follower = make()
    follower.append(1, [5, 6, 7] * 40)
    for _ in range(3):
        follower.search(1)
    follower.put(np.arange(1, 20))
    follower.search(1)
    assert follower.search(1).users == 1


def test_least_recently_searched_copies_leave_for_room(make: Make) -> None:
    follower = make(packed_bytes=200_000)
    for user in range(1, 20):
        follower.append(user, [5, 6, 7] * 50)
        for _ in range(3):
            follower.search(user)
    stats = follower.search(1)
    assert stats.bytes <= 200_000
    assert stats.evictions > 0
    assert 0 < stats.users < 19
    assert follower.search(19).hits > stats.hits


def test_a_history_beyond_the_budget_is_gathered(make: Make) -> None:
    follower = make(packed_bytes=10_000)
    follower.append(1, [5, 6, 7] * 500)
    for _ in range(4):
        follower.search(1)
    assert (follower.stats().users, follower.stats().hits) == (0, 0)


def test_rows_that_fell_off_at_the_cap_are_not_answered_and_do_not_pile_up(make: Make) -> None:
    follower = make(cap=200)
    largest = 0
    for number in range(300):
        follower.append(1, [1 + number % 90, 3, 200])
        largest = max(largest, follower.search(1).bytes)
    assert largest < 4 * 200 * (4 * DIMENSION + 20)
    assert follower.stats().hits > 200


def test_erased_users_and_reclaimed_slots_leave(make: Make) -> None:
    follower = make(max_items=110)
    for user in (1, 2):
        follower.append(user, [5, 6, 7] * 20)
        follower.search(user)
        follower.search(user)
    assert follower.stats().users == 2
    follower.world.histories[1] = History(60, [])
    follower.engine.drop(np.array([1]))
    assert follower.stats().users == 1
    follower.append(3, list(range(1_000, 1_100)))
    follower.search(3)
    assert follower.stats().users == 0
    follower.search(2)


def test_narrow_windows_do_not_read_the_whole_copy(make: Make) -> None:
    follower = make()
    follower.append(1, [5, 6, 7] * 1_000)
    for _ in range(3):
        follower.search(1)
    history, hits = follower.world.histories[1], follower.stats().hits
    vectors, norms = follower.engine.table.lookup(np.array([5]))
    batch = SearchBatch(np.array([1]), np.array([2_900]), np.array([3_000]), np.array([0, 1]), vectors, norms)
    found = follower.engine.search(batch, K, RECENT, follower.world)
    assert follower.stats().hits == hits
    assert_identical(found, answer(batch, {1: history}, follower.world.vectors, K, RECENT))


def test_no_budget_packs_nothing(backends: list[Backend]) -> None:
    follower = Follower(backends[1], packed_bytes=0)
    follower.append(1, [5, 6, 7])
    with pytest.raises(AssertionError):
        follower.search(1)
    assert follower.engine.stats().packed is None
