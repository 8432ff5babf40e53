"""Searches on stand-ins of a device equal the definition to the bit."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine.cuda import plan
from muse_stream.gsu_engine.cuda.device import Device
from tests.gsu_engine.cuda import numpy_search  # noqa: F401 - brings its kernels
from tests.gsu_engine.cuda.numpy_device import NumpyDevice
from tests.gsu_engine.cuda.side import Side
from tests.gsu_engine.oracle import History, assert_identical
from tests.gsu_engine.worlds import KINDS, World, draw_vectors, worlds

Maker = Callable[[], Device]


@pytest.fixture(params=["numpy"])
def make(request: pytest.FixtureRequest) -> Maker:
    return NumpyDevice


def world_of(kind: str, seed: int, lengths: list[int], width: int = 128, items: int = 300) -> World:
    rng = np.random.default_rng(seed)
    vectors = dict(zip(range(1, items + 1), draw_vectors(rng, kind, items, width), strict=True))
    histories = {
        user: History(int(rng.integers(0, 3_000)), rng.integers(1, items + 20, length).tolist())
        for user, length in enumerate(lengths, 1)
    }
    return World(width, vectors, histories, rng)


@given(
    world=worlds(longest=700),
    data=st.data(),
    k=st.sampled_from((1, 2, 7, 50, 200)),
    recent=st.integers(0, 90),
    windows=st.booleans(),
    masks=st.booleans(),
    exclusions=st.booleans(),
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
def test_any_batch(  # noqa: PLR0917 - hypothesis passes names
    make: Maker, world: World, data: st.DataObject, k: int, recent: int, windows: bool, masks: bool, exclusions: bool
) -> None:
    users = [user for user, history in world.histories.items() if history.items]
    assume(world.dimension in {64, 128} and users)
    asked = data.draw(st.lists(st.sampled_from(users), max_size=4, min_size=1))
    candidates = [data.draw(st.sampled_from((0, 1, 3, 17, 65))) for _ in asked]
    batch = world.batch(asked, candidates, windows=windows, masks=masks, exclusions=exclusions)
    side = Side(make(), world, world.table())
    assert_identical(side.search(batch, k, recent), side.expected(batch, k, recent))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 50])
def test_windows_with_a_sample(make: Maker, kind: str, k: int) -> None:
    world = world_of(kind, 1, [5_000, 300, 257, 1])
    batch = world.batch([1, 2, 3, 4, 1], [70, 3, 130, 1, 5], windows=False, masks=False, exclusions=True)
    side = Side(make(), world, world.table())
    assert_identical(side.search(batch, k, 20), side.expected(batch, k, 20))
    assert plan.Lists.of(k).room >= 1_024
