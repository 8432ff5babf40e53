"""The engine's own promises: what is refused, what is counted, and that threads do not change answers."""

import itertools
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from muse_stream.gsu_engine import (
    BatchError,
    BudgetError,
    GsuEngine,
    ItemIndex,
    SearchBatch,
    VectorTable,
    WindowError,
)
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.dropped import OLDEST_MOMENT_SECONDS
from muse_stream.gsu_engine.kernels.residents import PAGE
from tests.gsu_engine.oracle import History, answer, assert_identical
from tests.gsu_engine.worlds import World, draw_vectors

DIMENSION = 64


class Source:
    """Histories as arrays; counts how often it was asked."""

    def __init__(self, histories: dict[int, NDArray[np.int64]], start: int = 0) -> None:
        self.histories, self.start, self.calls = histories, start, 0

    def items(self, user: int) -> tuple[int, NDArray[np.int64]]:
        self.calls += 1
        return self.start, self.histories[user]


def table_of(items: int, dimension: int = DIMENSION) -> VectorTable:
    table = VectorTable("v1", dimension, ItemIndex(max_items=1 << 12), budget_bytes=1 << 20)
    table.put(np.arange(1, items + 1), draw_vectors(np.random.default_rng(0), "full", items, dimension))
    return table


def batch_of(table: VectorTable, who: list[int], stop: int, start: int = 0, **changes: Any) -> SearchBatch:
    pairs = len(who)
    vectors, norms = table.lookup(np.arange(1, pairs + 1))
    values: dict[str, Any] = {
        "users": np.array(who, np.int64),
        "starts": np.full(pairs, start, np.int64),
        "stops": np.full(pairs, stop, np.int64),
        "bounds": np.arange(pairs + 1, dtype=np.int64),
        "vectors": vectors,
        "inv_norms": norms,
    }
    return SearchBatch(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "k", "recent", "message"),
    [
        ({}, 0, 0, "k is 0, expected 1..1000"),
        ({}, 1_001, 0, "k is 1001"),
        ({}, 1, 1_001, "recent is 1001"),
        ({"bounds": np.array([0, 2])}, 1, 0, "bounds must rise from 0"),
        ({"bounds": np.array([0])}, 1, 0, r"bounds is int64\[1\], expected int64\[2\]"),
        ({"starts": np.array([5])}, 1, 0, "0 <= start <= stop"),
        ({"starts": np.array([-1])}, 1, 0, "0 <= start <= stop"),
        ({"users": np.array([1], np.int32)}, 1, 0, "users is int32"),
        ({"vectors": np.zeros((1, 128), np.int8)}, 1, 0, r"vectors is int8\[1, 128\], expected int8\[1, 64\]"),
        ({"inv_norms": np.array([np.nan], np.float32)}, 1, 0, "inv_norms must be"),
        ({"inv_norms": np.array([2], np.float32)}, 1, 0, "inv_norms must be"),
        ({"excluded": np.zeros(2, np.int64)}, 1, 0, r"excluded is int64\[2\], expected int64\[1\]"),
        ({"excluded": np.zeros(1, np.uint32)}, 1, 0, r"excluded is uint32\[1\], expected int64\[1\]"),
        ({"allowed": []}, 1, 0, "allowed needs one entry per pair"),
        ({"allowed": [np.ones(3, np.bool_)]}, 1, 0, r"bool\[4\] or uint8\[1\]"),
        ({"allowed": [np.ones(2, np.uint8)]}, 1, 0, r"bool\[4\] or uint8\[1\]"),
    ],
)
def test_a_batch_that_breaks_the_contract_is_refused(
    changes: dict[str, Any], k: int, recent: int, message: str
) -> None:
    table = table_of(3)
    engine = GsuEngine(table, backend="reference")
    with pytest.raises(BatchError, match=message):
        engine.search(batch_of(table, [1], 4, **changes), k, recent, Source({1: np.arange(1, 5)}))


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (0, 4), (2, 5)])
def test_a_window_that_the_source_does_not_cover_is_refused(start: int, stop: int) -> None:
    table = table_of(3)
    engine = GsuEngine(table, backend="reference")
    with pytest.raises(WindowError, match=r"of a user asked.*\[1, 4\)"):
        engine.search(batch_of(table, [1], stop, start), 1, 0, Source({1: np.arange(1, 4)}, start=1))


def test_a_batch_without_pairs_and_a_pair_without_candidates(backend: Backend) -> None:
    table = table_of(3)
    engine = GsuEngine(table, backend=backend)
    source = Source({1: np.arange(1, 4)})
    nothing = engine.search(batch_of(table, [], 0), 5, 5, source)
    assert nothing.scores.shape == (0, 5)
    none: dict[str, Any] = {"bounds": np.zeros(2, np.int64), "vectors": np.zeros((0, DIMENSION), np.int8)}
    one = engine.search(batch_of(table, [1], 3, inv_norms=np.zeros(0, np.float32), **none), 5, 5, source)
    assert one.count.shape == (0,)


def test_hits_misses_and_residency_are_counted() -> None:
    table = table_of(3)
    engine = GsuEngine(table, backend="cpu", cap=10, pool_bytes=1 << 16)
    source = Source({1: np.arange(1, 4), 2: np.arange(1, 4)})
    engine.prefetch(1, source)
    engine.prefetch(1, source)
    assert source.calls == 1
    engine.search(batch_of(table, [1, 2], 3), 2, 0, source)
    engine.search(batch_of(table, [1, 2], 3), 2, 0, source)
    assert source.calls == 2
    stats = engine.stats()
    assert (stats.hits, stats.misses, stats.searches, stats.pairs, stats.candidates) == (3, 2, 2, 4, 4)
    assert (stats.pool.users, stats.pool.behaviours, stats.table.rows) == (2, 6, 3)
    assert stats.backend == "cpu"
    assert stats.why.startswith("asked for by name; multiplies as ")
    assert stats.search_seconds > 0
    assert stats.load_seconds > 0


def test_a_user_without_behaviours_is_not_looked_for() -> None:
    table = table_of(3)
    engine, source = GsuEngine(table, backend="cpu"), Source({})
    result = engine.search(batch_of(table, [1], 0), 3, 3, source)
    assert result.count.tolist() == [0]
    assert result.positions.tolist() == [[-1, -1, -1]]


def test_an_appended_behaviour_is_found_without_loading() -> None:
    table = table_of(3)
    engine, source = GsuEngine(table, backend="cpu"), Source({1: np.array([2, 3])})
    engine.prefetch(1, source)
    engine.append(np.array([1, 9]), np.array([2, 0]), np.array([0, 1, 2]), np.array([1, 1]))
    result = engine.search(batch_of(table, [1], 3), 1, 1, source)
    assert result.positions.tolist() == [[2]]
    assert result.recent_present.all()
    assert source.calls == 1


def test_a_vector_that_comes_late_is_found_without_loading() -> None:
    table = table_of(3)
    engine, source = GsuEngine(table, backend="cpu"), Source({1: np.array([50, 51, 50])})
    batch = batch_of(table, [1], 3)
    assert engine.search(batch, 3, 3, source).count.tolist() == [0]
    engine.put_vectors(np.array([50]), np.ones((1, DIMENSION), np.int8))
    result = engine.search(batch, 3, 3, source)
    assert result.positions.tolist() == [[2, 0, -1]]
    assert result.recent_present.tolist() == [[True, False, True]]
    assert source.calls == 1


def test_an_orthogonal_item_is_a_result_of_plain_zero(backend: Backend) -> None:
    table = VectorTable("v1", DIMENSION, ItemIndex(max_items=10), budget_bytes=1 << 12)
    rows = np.zeros((2, DIMENSION), np.int8)
    rows[0, :2], rows[1, :2] = (-5, 5), (7, 7)
    table.put(np.array([1, 2]), rows)
    result = GsuEngine(table, backend=backend).search(batch_of(table, [1], 1), 2, 1, Source({1: np.array([2])}))
    assert result.count.tolist() == [1]
    assert result.scores.view(np.uint32).tolist() == [[0, 0]]
    assert result.recent_scores.view(np.uint32).tolist() == [[0]]
    assert result.recent_present.tolist() == [[True]]


def test_an_excluded_item_is_not_retrieved_for_its_candidate_and_its_recent_score_stays(backend: Backend) -> None:
    table = table_of(3)
    vectors, norms = table.lookup(np.array([1, 1, 2, 2, 1]))
    excluded = np.array([1, 0, 2, 3, 12_345])  # 12 345: never heard of
    engine, source = GsuEngine(table, backend=backend), Source({1: np.array([1, 2, 1, 99, 2])})
    batch = batch_of(table, [1], 5, bounds=np.array([0, 5]), vectors=vectors, inv_norms=norms, excluded=excluded)
    for _ in range(4):  # from the source, from the pool, from packed rows
        result = engine.search(batch, 5, 5, source)
        found = [row[:n].tolist() for row, n in zip(result.positions, result.count, strict=True)]
        assert [sorted(row) for row in found] == [[1, 4], [0, 1, 2, 4], [0, 2], [0, 1, 2, 4], [0, 1, 2, 4]]
        assert found[0] == [4, 1]
        assert found[1][:2] == [2, 0]
        assert result.scores[0, 2:].tolist() == [0, 0, 0]
        assert result.positions[0, 2:].tolist() == [-1, -1, -1]
        assert result.recent_present.tolist() == [[True, False, True, True, True]] * 5
        assert result.recent_scores[0].tolist() == result.recent_scores[1].tolist()


def test_more_may_be_excluded_than_is_asked_for(backend: Backend) -> None:
    table = table_of(3)
    items = np.ones(300, np.int64)
    items[:3] = 2
    batch = batch_of(table, [1], 300, excluded=np.array([1]))
    engine = GsuEngine(table, backend=backend)
    for _ in range(3):
        result = engine.search(batch, 2, 0, Source({1: items}))
        assert result.positions.tolist() == [[2, 1]]


def test_a_flood_of_ids_leaves_memory_bounded_and_answers_right() -> None:
    table = VectorTable("v1", DIMENSION, ItemIndex(max_items=500), budget_bytes=1 << 16)
    engine = GsuEngine(table, backend="cpu", cap=64, pool_bytes=1 << 16)
    rng = np.random.default_rng(3)
    rows = draw_vectors(rng, "full", 20, DIMENSION)
    engine.put_vectors(np.arange(1, 21), rows)
    world = World(DIMENSION, dict(zip(range(1, 21), rows, strict=True)), {1: History(0, [])}, rng)
    for _ in range(300):
        new = np.where(rng.random(40) < 0.1, rng.integers(1, 21, 40), rng.integers(10**6, 10**12, 40)).tolist()
        old = world.histories[1]
        kept = (old.items + new)[-64:]
        world.histories[1] = History(old.stop + 40 - len(kept), kept)
        engine.append(np.array([1]), np.array([old.stop]), np.array([0, 40]), np.array(new))
        batch = world.batch([1], [2], windows=False, masks=False)
        assert_identical(engine.search(batch, 5, 5, world), answer(batch, world.histories, world.vectors, 5, 5))
    assert engine.stats().index.items <= 500
    assert engine.stats().index.bytes <= 20 * 500 + 5 * 1_024  # and the first buckets


def test_appends_changes_and_searches_in_threads_give_the_answers_of_the_definition(backends: list[Backend]) -> None:
    """Every searcher asks for windows of a growing history; answers must be those of the rows at these positions."""
    rng = np.random.default_rng(5)
    items, users, length = 40, 6, 3 * PAGE
    histories = {user: rng.integers(1, 2 * items, length) for user in range(1, users + 1)}
    clock = itertools.count(0.0, 2 * OLDEST_MOMENT_SECONDS).__next__  # who was dropped may come back at once
    engine = GsuEngine(table_of(items), backend=backends[1], cap=10**6, pool_bytes=40 * 2_200, clock=clock)
    definition = GsuEngine(engine.table, backend=backends[0], cap=10**6, pool_bytes=1 << 22)
    reach = np.full(users + 1, 100)
    failures: list[BaseException] = []
    done = threading.Event()

    def append() -> None:
        while (reach[1:] < length).any():
            count = int(rng.integers(1, 40))
            grow = np.flatnonzero(reach[1:] + count <= length) + 1
            if len(grow) == 0:
                break
            flat = np.concatenate([histories[u][reach[u] : reach[u] + count] for u in grow.tolist()])
            engine.append(grow, reach[grow], np.arange(len(grow) + 1) * count, flat)
            reach[grow] += count
        done.set()

    def search(seed: int) -> None:
        own = np.random.default_rng(seed)
        while True:
            last = done.is_set()
            pairs = own.integers(1, users + 1, 3)
            stops = reach[pairs].astype(np.int64)
            starts = own.integers(0, stops)
            vectors, norms = engine.table.lookup(own.integers(1, items + 1, 6))
            batch = SearchBatch(pairs, starts, stops, np.array([0, 2, 4, 6]), vectors, norms)
            try:
                assert_identical(engine.search(batch, 7, 9, source), definition.search(batch, 7, 9, source))
            except BaseException as error:
                failures.append(error)
                return
            if last:
                return

    def churn() -> None:
        while not done.is_set():
            engine.drop(np.array([1 + int(reach.sum()) % users]))
            engine.table.index.slots(np.arange(10**6, 10**6 + 50) + int(reach.sum()), create=True)
            engine.table.index.reclaim()

    source = Source(histories)
    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(3)]
    threads += [threading.Thread(target=append), threading.Thread(target=churn)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures[0]
    assert reach[1:].min() > length - 40


def test_vector_changes_wait_for_a_running_search_and_appends_do_not() -> None:
    table = table_of(3)
    inside, release = threading.Event(), threading.Event()

    class Slow:
        name = "slow"
        form = None

        def search(self, work: Any) -> Any:
            inside.set()
            assert release.wait(20)
            return work

    engine, source = GsuEngine(table, backend=Slow()), Source({1: np.array([1, 2])})
    engine.prefetch(1, source)
    version = table.version
    searching = threading.Thread(target=engine.search, args=(batch_of(table, [1], 2), 1, 0, source))
    searching.start()
    assert inside.wait(20)
    changing = threading.Thread(target=engine.put_vectors, args=(np.array([1]), np.ones((1, DIMENSION), np.int8)))
    changing.start()
    for at in range(2, 200):
        engine.append(np.array([1]), np.array([at]), np.array([0, 1]), np.array([3]))
    assert engine.stats().pool.behaviours == 200
    assert table.version == version
    release.set()
    searching.join(20)
    changing.join(20)
    assert table.version == version + 1


def test_a_pool_below_one_page_is_refused() -> None:
    with pytest.raises(BudgetError):
        GsuEngine(table_of(1), pool_bytes=1_000)


def test_slots_that_were_freed_while_a_search_loaded_its_users_are_not_used() -> None:
    """User 1 is loaded; while user 2 is, the slots of user 1's unknown items go to other items, which get vectors."""
    table = VectorTable("v1", DIMENSION, ItemIndex(max_items=4), budget_bytes=1 << 12)
    table.put(np.array([1]), np.ones((1, DIMENSION), np.int8))
    engine = GsuEngine(table, backend="cpu", pool_bytes=1 << 14)

    class Meddling(Source):
        def items(self, user: int) -> tuple[int, NDArray[np.int64]]:
            if user == 2:
                engine.index.reclaim()
                engine.put_vectors(np.array([50, 51, 52]), np.full((3, DIMENSION), 2, np.int8))
            return super().items(user)

    source = Meddling({1: np.array([1, 7, 8]), 2: np.array([1, 1, 1])})
    vectors, norms = table.lookup(np.array([1, 1]))
    batch = batch_of(table, [1, 2], 3, vectors=vectors, inv_norms=norms)
    result = engine.search(batch, 3, 0, source)
    assert result.count.tolist() == [1, 3]
    assert result.positions[0].tolist() == [0, -1, -1]


def test_a_user_erased_while_being_loaded_does_not_become_resident() -> None:
    engine = GsuEngine(table_of(3), backend="cpu")

    class Erasing(Source):
        def items(self, user: int) -> tuple[int, NDArray[np.int64]]:
            found = super().items(user)
            engine.drop(np.array([user]))
            return found

    engine.prefetch(1, Erasing({1: np.array([1, 2])}))
    assert engine.stats().pool.users == 0


def test_an_erased_user_is_not_kept_again_from_a_moment_that_may_be_older() -> None:
    now = [0.0]
    engine = GsuEngine(table_of(3), backend="cpu", clock=lambda: now[0])
    source = Source({1: np.array([1, 2])})
    engine.prefetch(1, source)
    engine.drop(np.array([1]))
    assert engine.search(batch_of(engine.table, [1], 2), 2, 0, source).count.tolist() == [2]
    assert engine.stats().pool.users == 0
    now[0] = OLDEST_MOMENT_SECONDS
    engine.search(batch_of(engine.table, [1], 2), 2, 0, source)
    assert engine.stats().pool.users == 1
    engine.drop(np.array([2]))
    assert len(engine._dropped._until) == 1


def test_dropping_nobody_does_not_disturb_a_load() -> None:
    engine = GsuEngine(table_of(3), backend="cpu")

    class Dropping(Source):
        def items(self, user: int) -> tuple[int, NDArray[np.int64]]:
            engine.drop(np.empty(0, np.int64))
            return super().items(user)

    engine.prefetch(1, Dropping({1: np.array([1, 2])}))
    assert engine.stats().pool.users == 1
