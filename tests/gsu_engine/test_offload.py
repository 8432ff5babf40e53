"""An engine with a device gives the answers of one without: whoever is there, and if it fails at any moment."""

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from muse_stream.gsu_engine import BackendError, GsuEngine, ItemIndex, SearchBatch, VectorTable, WindowError
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.cuda.sources import WIDTHS
from muse_stream.gsu_engine.dropped import OLDEST_MOMENT_SECONDS
from muse_stream.gsu_engine.kernels.residents import PAGE
from muse_stream.gsu_engine.stats import DeviceStats, Elsewhere
from tests.gsu_engine.cuda.stand_in import StandInBackend
from tests.gsu_engine.oracle import History, answer, assert_identical
from tests.gsu_engine.test_life import RULES, STEPS, Life, Rules
from tests.gsu_engine.worlds import World, draw_vectors, worlds

DIMENSION, ITEMS = 64, 40


class Source:
    """Histories as arrays; counts how often it was asked."""

    def __init__(self, histories: dict[int, NDArray[np.int64]]) -> None:
        self.histories, self.calls = histories, 0

    def items(self, user: int) -> tuple[int, NDArray[np.int64]]:
        self.calls += 1
        return 0, self.histories[user]


def table_of(max_items: int = 1 << 10) -> VectorTable:
    table = VectorTable("v1", DIMENSION, ItemIndex(max_items=max_items), budget_bytes=1 << 18)
    table.put(np.arange(1, ITEMS + 1), draw_vectors(np.random.default_rng(0), "full", ITEMS, DIMENSION))
    return table


def batch_of(table: VectorTable, users: list[int], stops: list[int], *, candidates: int = 2) -> SearchBatch:
    count = len(users) * candidates
    vectors, norms = table.lookup(np.arange(count) % ITEMS + 1)
    bounds = np.arange(len(users) + 1) * candidates
    starts = np.zeros(len(users), np.int64)
    return SearchBatch(np.array(users, np.int64), starts, np.array(stops, np.int64), bounds, vectors, norms)


def device_of(engine: GsuEngine) -> DeviceStats:
    found = engine.stats().device
    assert found is not None
    return found


def elsewhere(engine: GsuEngine) -> dict[str, int]:
    return {reason: count for reason, count in device_of(engine).elsewhere.items() if count}


class Both:
    """An engine with a device, and one without, on one table."""

    def __init__(self, backends: list[Backend], pages: int = 100, **options: Any) -> None:
        self.table = table_of()
        self.backend = StandInBackend(backends[0], pages)
        options = {"cap": 10_000, "pool_bytes": 1 << 20, **options}
        self.engine = GsuEngine(self.table, backend=self.backend, **options)
        self.plain = GsuEngine(self.table, backend=backends[0], **options)

    def search(self, batch: SearchBatch, source: Source, k: int = 5, recent: int = 4) -> None:
        expected = self.plain.search(batch, k, recent, source)
        assert_identical(self.engine.search(batch, k, recent, source), expected)


def lengths(count: int, length: int) -> dict[int, NDArray[np.int64]]:
    rng = np.random.default_rng(7)
    return {user: rng.integers(1, 2 * ITEMS, length) for user in range(1, count + 1)}


@given(
    world=worlds(longest=PAGE + 100),
    data=st.data(),
    pages=st.integers(1, 8),
    k=st.integers(1, 60),
    recent=st.integers(0, 20),
    windows=st.booleans(),
    masks=st.booleans(),
    exclusions=st.booleans(),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_worlds_with_a_device_that_is_too_small(  # noqa: PLR0917 - hypothesis passes names
    backends: list[Backend],
    world: World,
    data: st.DataObject,
    pages: int,
    k: int,
    recent: int,
    windows: bool,
    masks: bool,
    exclusions: bool,
) -> None:
    table = world.table()
    engine = GsuEngine(table, cap=5_000, pool_bytes=1 << 16, backend=StandInBackend(backends[1], pages))
    for _ in range(3):
        users = data.draw(st.lists(st.sampled_from(sorted(world.histories)), max_size=5))
        candidates = [data.draw(st.integers(0, 9)) for _ in users]
        batch = world.batch(users, candidates, windows=windows, masks=masks, exclusions=exclusions)
        expected = answer(batch, world.histories, world.vectors, k, recent)
        assert_identical(engine.search(batch, k, recent, world), expected)
    device = device_of(engine)
    assert device.lost is None
    assert device.elsewhere[Elsewhere.LOST] == 0


@given(world=worlds(longest=90), pages=st.integers(1, 8), k=st.integers(1, 30), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_worlds_with_the_real_search(
    backends: list[Backend], world: World, pages: int, k: int, seed: int
) -> None:
    by_kernels = StandInBackend(backends[1], pages, by_kernels=world.dimension in WIDTHS)
    engine = GsuEngine(world.table(), cap=5_000, pool_bytes=1 << 16, backend=by_kernels)
    rng = np.random.default_rng(seed)
    for turn in range(3):
        users = rng.choice(sorted(world.histories), 3).tolist()
        batch = world.batch(users, [3, 0, 2], windows=turn == 1, masks=turn == 2, exclusions=seed % 2 == 0)
        expected = answer(batch, world.histories, world.vectors, k, 5)
        assert_identical(engine.search(batch, k, 5, world), expected)


@pytest.mark.usefixtures("answers_stand")
@given(rules=RULES, pages=st.sampled_from((1, 2, 5, 20)), steps=st.lists(st.sampled_from(STEPS), max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_long_life_with_a_device(
    backends: list[Backend], rules: Rules, pages: int, steps: list[Callable[[Life], None]]
) -> None:
    life = Life([StandInBackend(backends[0], pages), StandInBackend(backends[1], pages)], rules)
    for step in [*steps, Life.search]:
        step(life)
        life.steps += 1


def story(backends: list[Backend], fails_after: int | None) -> tuple[Both, int]:
    """Loads, appends, changes of vectors, eviction and searches; the device fails after so many calls."""
    both, source = Both(backends, pages=6), Source(lengths(5, 3 * PAGE))
    device = both.backend.devices[0]
    begun = device.steps
    if fails_after is not None:
        device.fail_after(fails_after)
    reach = dict.fromkeys(source.histories, PAGE)
    for turn in range(4):
        for users in ([1, 2], [2, 3, 4], [5, 1, 1]):
            moment = Source({user: source.histories[user][: reach[user]] for user in reach})
            both.search(batch_of(both.table, users, [reach[user] for user in users]), moment)
        who = np.arange(1, 6)
        starts = np.array([reach[user] for user in who.tolist()])
        new = np.concatenate([source.histories[user][reach[user] : reach[user] + 7] for user in who.tolist()])
        for engine in (both.engine, both.plain):
            engine.append(who, starts, np.arange(6) * 7, new)
        reach = {user: end + 7 for user, end in reach.items()}
        both.engine.put_vectors(np.array([3, 45 + turn]), np.full((2, DIMENSION), turn + 1, np.int8))
        if turn == 2:
            both.engine.drop(np.array([2]))
    both.engine.resident_items(1, 0, 5, on_device=True)
    return both, device.steps - begun


def test_a_device_that_fails_at_any_call_costs_no_answer(
    backends: list[Backend], caplog: pytest.LogCaptureFixture
) -> None:
    both, calls = story(backends, None)
    assert device_of(both.engine).answered > 10
    assert calls > 80
    for after in range(calls):
        caplog.clear()
        both, _ = story(backends, after)
        found = device_of(both.engine)
        assert found.lost == "the test took the device away"
        assert sum("the CPU answers from now on" in line for line in caplog.messages) == 1
        assert found.answered + sum(found.elsewhere.values()) == 4 * 8
        assert (found.histories.users, found.vector_bytes) == (0, 0)
        stats = both.engine.stats()
        assert stats.backend == "reference"
        assert "NumPy is lost" in stats.why


def test_what_is_answered_where_is_counted(backends: list[Backend]) -> None:
    both, source = Both(backends), Source(lengths(3, 700))
    both.search(batch_of(both.table, [1, 2], [700, 700]), source)
    both.search(batch_of(both.table, [1, 2, 3, 1], [700, 0, 700, 650]), source)
    stats, found = both.engine.stats(), device_of(both.engine)
    assert (stats.backend, stats.why) == ("cuda", "given")
    assert (found.name, found.searches, found.answered, elsewhere(both.engine)) == ("NumPy", 2, 5, {})
    assert (found.histories.users, found.histories.behaviours) == (3, 2_100)
    assert found.vector_bytes > 0
    assert found.wait_seconds > 0
    assert (stats.hits, stats.misses, stats.pairs) == (3, 3, 6)


def test_a_history_that_never_fits_is_answered_by_the_cpu_and_loaded_once(backends: list[Backend]) -> None:
    both = Both(backends, pages=2)
    source = Source({1: lengths(1, 5 * PAGE)[1], 2: lengths(2, 20)[2]})
    for _ in range(3):
        both.engine.search(batch_of(both.table, [1, 2], [5 * PAGE, 20]), 5, 5, source)
    assert source.calls == 2
    both.search(batch_of(both.table, [1, 2], [5 * PAGE, 20]), source)
    assert elsewhere(both.engine) == {"no_room": 4}
    assert device_of(both.engine).answered == 4


def test_a_user_who_left_for_others_comes_back_out_of_the_pool(backends: list[Backend]) -> None:
    both, source = Both(backends, pages=3), Source(lengths(4, 2 * PAGE))
    for _ in range(2):
        for user in (1, 2, 3, 4):
            both.engine.search(batch_of(both.table, [user], [2 * PAGE]), 3, 3, source)
    assert source.calls == 4
    assert device_of(both.engine).answered == 8
    assert device_of(both.engine).histories.evictions == 7
    both.engine.search(batch_of(both.table, [1, 2], [2 * PAGE, 2 * PAGE]), 3, 3, source)
    assert elsewhere(both.engine) == {"left": 1}


def test_a_window_beyond_what_the_device_holds_is_loaded_again(backends: list[Backend]) -> None:
    both, source = Both(backends), Source(lengths(1, 600))
    early = Source({1: source.histories[1][:500]})
    both.search(batch_of(both.table, [1], [500]), early)
    both.search(batch_of(both.table, [1], [600]), source)
    both.search(batch_of(both.table, [1], [500]), early)
    assert device_of(both.engine).answered == 3
    with pytest.raises(WindowError, match=r"\[0, 500\)"):
        both.engine.search(batch_of(both.table, [1], [601]), 1, 1, early)


def test_a_source_that_refuses_leaves_nothing_under_way(backends: list[Backend]) -> None:
    both, source = Both(backends), Source(lengths(2, 600))
    both.search(batch_of(both.table, [1], [600]), source)
    waits = device_of(both.engine).wait_seconds
    with pytest.raises(WindowError):
        both.engine.search(batch_of(both.table, [1, 2], [600, 601]), 1, 1, source)
    assert device_of(both.engine).wait_seconds > waits
    both.search(batch_of(both.table, [1, 2], [600, 600]), source)


def test_vectors_go_to_the_device_when_they_change(backends: list[Backend]) -> None:
    backend, table = StandInBackend(backends[0]), table_of()
    engine = GsuEngine(table, backend=backend)
    engine.search(batch_of(table, [1], [30]), 5, 0, Source(lengths(1, 30)))
    before = backend.devices[0].launches.count("fill")
    engine.put_vectors(np.array([1, 2]), draw_vectors(np.random.default_rng(1), "full", 2, DIMENSION))
    engine.forget_vectors(np.array([3]))
    assert backend.devices[0].launches.count("fill") == before + 2
    engine.search(batch_of(table, [1], [30]), 5, 0, Source(lengths(1, 30)))
    assert backend.devices[0].launches.count("fill") == before + 2


def test_without_memory_for_a_search_the_cpu_answers_and_the_device_stays(backends: list[Backend]) -> None:
    both, source = Both(backends), Source(lengths(2, 300))
    both.backend.searches[0].is_short = True
    both.search(batch_of(both.table, [1, 2], [300, 300]), source)
    assert elsewhere(both.engine) == {"memory": 2}
    both.backend.searches[0].is_short = False
    both.search(batch_of(both.table, [1, 2], [300, 300]), source)
    assert device_of(both.engine).answered == 2
    assert device_of(both.engine).lost is None


def test_an_erased_user_is_not_on_the_device_and_does_not_come_back_for_a_minute(backends: list[Backend]) -> None:
    now = [0.0]
    both, source = Both(backends, clock=lambda: now[0]), Source(lengths(2, 300))
    batch = batch_of(both.table, [1, 2], [300, 300])
    both.search(batch, source)
    both.engine.drop(np.array([1]))
    assert both.engine.resident(on_device=True)[0].tolist() == [2]
    both.search(batch, source)
    both.engine.prefetch(1, source)
    assert both.engine.resident(on_device=True)[0].tolist() == [2]
    assert elsewhere(both.engine) == {"dropped": 1}
    now[0] = OLDEST_MOMENT_SECONDS
    both.search(batch, source)
    assert both.engine.resident(on_device=True)[0].tolist() == [1, 2]


def test_an_append_reaches_pool_and_device_whichever_holds_the_user(backends: list[Backend]) -> None:
    both, source = Both(backends, pages=3, pool_bytes=3 * 2_200), Source(lengths(2, 2 * PAGE))
    both.engine.prefetch(1, source)
    histories = both.backend.histories[0]
    histories.drop(np.array([1]))
    both.engine.append(np.array([1, 9]), np.array([2 * PAGE, 0]), np.array([0, 1, 2]), np.array([5, 5]))
    assert both.engine.resident()[2].tolist() == [2 * PAGE + 1]
    both.engine.prefetch(2, source)
    assert both.engine.resident()[0].tolist() == [2]
    both.engine._pool.drop(np.array([2]))
    both.engine.append(np.array([2]), np.array([2 * PAGE]), np.array([0, 1]), np.array([6]))
    assert both.engine.resident(on_device=True)[2].tolist() == [2 * PAGE + 1]
    found = both.engine.resident_items(2, 2 * PAGE - 1, 2 * PAGE + 1, on_device=True)
    assert found is not None
    assert found.tolist() == [source.histories[2][-1], 6]
    assert both.engine.resident_items(2, 0, 1) is None
    assert both.engine.resident_items(1, 0, 1, on_device=True) is None


def test_slots_that_are_freed_empty_the_device_too(backends: list[Backend]) -> None:
    both, source = Both(backends), Source(lengths(2, 300))
    both.search(batch_of(both.table, [1, 2], [300, 300]), source)
    assert both.table.index.reclaim() > 0
    assert len(both.engine.resident(on_device=True)[0]) == 0
    both.engine.put_vectors(np.arange(500, 520), np.full((20, DIMENSION), 3, np.int8))
    both.search(batch_of(both.table, [1, 2], [300, 300]), source)
    assert elsewhere(both.engine) == {}


def test_slots_that_are_freed_between_pool_and_device_are_not_used(backends: list[Backend]) -> None:
    both, source = Both(backends), Source(lengths(1, 300))
    both.engine.prefetch(1, source)
    both.backend.histories[0].drop(np.array([1]))
    run = both.engine._pool.run

    def freed_meanwhile(user: int) -> Any:
        found = run(user)
        both.table.index.reclaim()
        both.table.put(np.arange(500, 540), np.full((40, DIMENSION), 3, np.int8))
        return found

    both.engine._pool.run = freed_meanwhile  # type: ignore[method-assign]
    both.search(batch_of(both.table, [1], [300]), source)
    assert elsewhere(both.engine) == {"left": 1}


def test_a_batch_without_pairs_and_pairs_without_candidates(backends: list[Backend]) -> None:
    both, source = Both(backends), Source(lengths(1, 300))
    both.search(batch_of(both.table, [], []), source)
    both.search(batch_of(both.table, [1], [300], candidates=0), source)
    both.search(batch_of(both.table, [1], [300]), source)
    assert (device_of(both.engine).answered, elsewhere(both.engine)) == (1, {})


def test_a_device_that_cannot_be_used_is_an_error_unless_any_backend_will_do(backends: list[Backend]) -> None:
    class Without(StandInBackend):
        def residence(self, table: VectorTable, cap: int, budget_bytes: int | None) -> Any:
            message = "too little memory"
            raise BackendError(message)

    with pytest.raises(BackendError, match="too little memory"):
        GsuEngine(table_of(), backend=Without(backends[0]))


def test_appends_changes_and_searches_in_threads(backends: list[Backend]) -> None:
    rng = np.random.default_rng(5)
    users, length = 6, 3 * PAGE
    source = Source(lengths(users, length))
    clock = itertools.count(0.0, 2 * OLDEST_MOMENT_SECONDS).__next__  # who was dropped may come back at once
    both = Both(backends, pages=8, pool_bytes=30 * 2_200, clock=clock)
    reach = np.full(users + 1, 100)
    failures: list[BaseException] = []
    done = threading.Event()

    def append() -> None:
        while not done.is_set():
            count = int(rng.integers(1, 40))
            grow = np.flatnonzero(reach[1:] + count <= length) + 1
            if len(grow) == 0:
                done.set()
                break
            time.sleep(0.002)  # for the others
            flat = np.concatenate([source.histories[u][reach[u] : reach[u] + count] for u in grow.tolist()])
            both.engine.append(grow, reach[grow], np.arange(len(grow) + 1) * count, flat)
            reach[grow] += count

    def search(seed: int) -> None:
        own = np.random.default_rng(seed)
        while not failures:
            last = done.is_set()
            pairs = own.integers(1, users + 1, 3)
            stops = reach[pairs].astype(np.int64)
            vectors, norms = both.table.lookup(own.integers(1, ITEMS + 1, 6))
            batch = SearchBatch(pairs, own.integers(0, stops), stops, np.array([0, 2, 4, 6]), vectors, norms)
            try:
                both.search(batch, source)
            except BaseException as error:
                failures.append(error)
            if last:
                return

    def churn() -> None:
        while not done.is_set():
            both.engine.drop(np.array([1 + int(reach.sum()) % users]))
            both.table.index.slots(np.arange(10**6, 10**6 + 50) + int(reach.sum()), create=True)
            both.table.index.reclaim()

    targets = [append, churn, *[lambda seed=seed: search(seed) for seed in range(2)]]
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures[0]
    assert device_of(both.engine).answered > 0


def test_a_world_whose_history_is_one_behaviour(backends: list[Backend]) -> None:
    world = World(DIMENSION, {1: np.ones(DIMENSION, np.int8)}, {1: History(10**12, [1])}, np.random.default_rng(0))
    engine = GsuEngine(world.table(), backend=StandInBackend(backends[0]))
    batch = world.batch([1], [3], windows=False, masks=False)
    assert_identical(engine.search(batch, 2, 2, world), answer(batch, world.histories, world.vectors, 2, 2))
