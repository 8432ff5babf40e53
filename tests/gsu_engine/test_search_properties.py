"""Any search, on any backend, equals the brute-force oracle to the bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import GsuEngine, SearchBatch
from muse_stream.gsu_engine.contract import Backend
from tests.gsu_engine.oracle import answer, assert_identical
from tests.gsu_engine.worlds import World, worlds

RESULTS = st.one_of(st.integers(1, 200), st.sampled_from((1, 2, 50, 200)))


@pytest.mark.usefixtures("answers_stand")
@given(
    world=worlds(),
    data=st.data(),
    k=RESULTS,
    recent=st.integers(0, 90),
    windows=st.booleans(),
    masks=st.booleans(),
    exclusions=st.booleans(),
)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_backend_equals_the_oracle(  # noqa: PLR0917 - hypothesis passes names
    backends: list[Backend],
    world: World,
    data: st.DataObject,
    k: int,
    recent: int,
    windows: bool,
    masks: bool,
    exclusions: bool,
) -> None:
    users = data.draw(st.lists(st.sampled_from(sorted(world.histories)), max_size=5))
    candidates = [data.draw(st.integers(0, 15)) for _ in users]
    batch = world.batch(users, candidates, windows=windows, masks=masks, exclusions=exclusions)
    expected = answer(batch, world.histories, world.vectors, k, recent)
    whole = world.batch(users, [1] * len(users), windows=False, masks=False)
    table = world.table()
    for backend in backends:
        engine = GsuEngine(table, cap=10**6, pool_bytes=1 << 16, backend=backend)
        for _ in range(3):  # from the source, from the pool, from packed rows
            assert_identical(engine.search(batch, k, recent, world), expected)
        for _ in range(2):  # packed rows of more than the window
            engine.search(whole, k, recent, world)
            assert_identical(engine.search(batch, k, recent, world), expected)


@given(world=worlds(longest=3_000), k=st.integers(1, 200), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_long_histories_cut_between_threads(
    backends_with_small_shares: list[Backend], world: World, k: int, seed: int
) -> None:
    users = sorted(world.histories)
    candidates = [1 + (seed + user) % 8 for user in users]
    batch = world.batch(users, candidates, windows=False, masks=seed % 2 == 0, exclusions=seed % 3 == 0)
    results = []
    for backend in backends_with_small_shares:
        engine = GsuEngine(world.table(), cap=10**6, pool_bytes=1 << 20, backend=backend)
        results += [engine.search(batch, k, 20, world) for _ in range(3)]  # gathered, then packed
    for result in results[1:]:
        assert_identical(result, results[0])


@pytest.mark.parametrize("k", [1, 50, 200, 1_000])
def test_all_rows_equal_gives_the_newest(backend: Backend, k: int) -> None:
    items = np.full(5_000, 7, np.int64)
    vector = np.arange(-64, 64, dtype=np.int8)
    world = World(128, {7: vector}, {}, np.random.default_rng(0))
    engine = GsuEngine(world.table(), backend=backend, pool_bytes=1 << 20)
    table = engine.table
    batch = SearchBatch(
        np.array([1]), np.array([100]), np.array([5_100]), np.array([0, 1]), *table.lookup(np.array([7]))
    )

    class Source:
        def items(self, user: int) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.int64]]]:
            return 100, items

    result = engine.search(batch, k, 3, Source())
    assert result.positions[0].tolist() == list(range(5_099, 5_099 - k, -1))
    assert result.count.tolist() == [k]
    assert len(set(result.scores[0].tolist())) == 1
