"""Searches on stand-ins of a device equal the definition to the bit."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import SearchBatch, SearchResult
from muse_stream.gsu_engine.cuda import search
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.ways import THREE_LAUNCHES, Way, Ways
from muse_stream.gsu_engine.kernels import planning
from tests.gsu_engine.cuda.devices import MakeDevice
from tests.gsu_engine.cuda.side import Side
from tests.gsu_engine.oracle import History, assert_identical
from tests.gsu_engine.worlds import KINDS, World, draw_vectors, worlds


def world_of(kind: str, seed: int, lengths: list[int], width: int = 128, items: int = 300) -> World:
    rng = np.random.default_rng(seed)
    vectors = dict(zip(range(1, items + 1), draw_vectors(rng, kind, items, width), strict=True))
    histories = {
        user: History(int(rng.integers(0, 3_000)), rng.integers(1, items + 20, length).tolist())
        for user, length in enumerate(lengths, 1)
    }
    return World(width, vectors, histories, rng)


def assert_right(  # noqa: PLR0917 - a search, where, and how
    device: Device, world: World, batch: SearchBatch, k: int, recent: int, way: Way = THREE_LAUNCHES
) -> SearchResult:
    side = Side(device, world, world.table(), ways=Ways(always=way))
    result = side.search(batch, k, recent)
    assert_identical(result, side.expected(batch, k, recent))
    return result


@given(
    world=worlds(longest=700),
    data=st.data(),
    k=st.sampled_from((1, 2, 7, 50, 200)),
    recent=st.integers(0, 90),
    windows=st.booleans(),
    masks=st.booleans(),
    exclusions=st.booleans(),
    way=st.builds(Way, st.booleans(), st.booleans()),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_any_batch(  # noqa: PLR0917 - hypothesis passes names
    make_device: MakeDevice,
    world: World,
    data: st.DataObject,
    k: int,
    recent: int,
    windows: bool,
    masks: bool,
    exclusions: bool,
    way: Way,
) -> None:
    users = [user for user, history in world.histories.items() if history.items]
    assume(world.dimension in {64, 128} and users)
    asked = data.draw(st.lists(st.sampled_from(users), max_size=4, min_size=1))
    candidates = [data.draw(st.sampled_from((0, 1, 3, 17, 65))) for _ in asked]
    batch = world.batch(asked, candidates, windows=windows, masks=masks, exclusions=exclusions)
    assume((batch.stops > batch.starts).all())
    assert_right(make_device(), world, batch, k, recent, way)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 50])
def test_windows_with_a_sample(make_device: MakeDevice, kind: str, k: int) -> None:
    world = world_of(kind, 1, [5_000, 300, 257, 1])
    batch = world.batch([1, 2, 3, 4, 1], [70, 3, 130, 1, 5], windows=False, masks=False, exclusions=True)
    assert_right(make_device(), world, batch, k, 20)


@pytest.mark.parametrize("candidates", [1, 16, 17, 64, 65, 128, 129, 256, 257, 520])
def test_any_number_of_candidates(make_device: MakeDevice, candidates: int) -> None:
    world = world_of("full", candidates, [700])
    batch = world.batch([1], [candidates], windows=True, masks=False)
    assert_right(make_device(), world, batch, 50, 3)


@pytest.mark.parametrize("k", [1, 50, 64, 200, 1_000])
def test_more_equal_rows_than_lists_hold(make_device: MakeDevice, k: int) -> None:
    """All rows are hits of every candidate: the third kernel has to scan."""
    world = world_of("equal", 3, [6_000])
    result = assert_right(make_device(), world, world.batch([1], [2], windows=False, masks=False), k, 0)
    assert (result.count == k).any()


def misleading_world() -> World:
    """One user with 40 good rows, all of them in the sample: more than its rank, fewer than 50."""
    length, rng = 20_000, np.random.default_rng(0)
    good, poor = np.full((200, 128), 100, np.int8), rng.integers(-128, 128, (400, 128), np.int8)
    vectors = dict(zip(range(1, 601), np.concatenate([good, poor]), strict=True))
    items = rng.integers(201, 601, length)
    sampled = (
        np.arange(planning.SAMPLE_MOST) * ((length << planning.STEP_BITS) // planning.SAMPLE_MOST) >> planning.STEP_BITS
    )
    items[sampled[:4_000:100]] = 1
    return World(128, vectors, {1: History(7, items.tolist())}, rng)


def overflowing_world() -> World:
    """One user with six rows more than a list holds, all equal."""
    vectors = {1: np.full(128, 3, np.int8), 2: np.full(128, 5, np.int8)}
    return World(128, vectors, {1: History(0, [1] * 1_030)}, np.random.default_rng(0))


def test_a_sample_that_misleads(make_device: MakeDevice) -> None:
    """Too few rows reach the threshold: the third kernel has to scan."""
    world = misleading_world()
    table = world.table()
    window = np.array([7]), np.array([world.histories[1].stop])
    batch = SearchBatch(np.array([1]), *window, np.array([0, 1]), *table.lookup(np.array([1])))
    side = Side(make_device(), world, table)
    assert_identical(side.search(batch, 50, 0), side.expected(batch, 50, 0))


def test_what_is_excluded_does_not_raise_the_threshold(make_device: MakeDevice) -> None:
    """Half of the rows are the candidate itself, and excluded."""
    world = world_of("full", 5, [5_000])
    for at in range(0, 5_000, 2):
        world.histories[1].items[at] = 9
    table = world.table()
    vectors, norms = table.lookup(np.array([9]))
    window = np.array([world.histories[1].start]), np.array([world.histories[1].stop])
    batch = SearchBatch(np.array([1]), *window, np.array([0, 1]), vectors, norms, None, np.array([9]))
    side = Side(make_device(), world, table)
    assert_identical(side.search(batch, 50, 10), side.expected(batch, 50, 10))


@pytest.fixture
def small_scratch() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SCRATCH_BYTES", 8 * 1_024 * 7)
        yield


@pytest.mark.usefixtures("small_scratch")
def test_a_batch_in_parts(make_device: MakeDevice) -> None:
    """Seven candidates at a time; pairs lie on cuts."""
    world = world_of("signs", 2, [600, 90])
    batch = world.batch([1, 2, 1, 2], [5, 20, 0, 3], windows=True, masks=True, exclusions=True)
    assert_right(make_device(), world, batch, 50, 30)


def test_a_user_who_grows_and_slides(make_device: MakeDevice) -> None:
    """Positions go on, pages come and go, and the ring of pages wraps."""
    world = world_of("full", 4, [3_000])
    table = world.table()
    side = Side(make_device(), world, table, cap=2_000)
    history, rng = world.histories[1], np.random.default_rng(1)
    history.start, history.items = history.stop - 2_000, history.items[-2_000:]
    for _ in range(12):
        more = rng.integers(1, 320, int(rng.integers(1, 700)))
        slots = table.index.slots(more, create=True)
        bounds = np.array([0, len(more)])
        side.histories.append(np.array([1]), np.array([history.stop]), bounds, slots, departures=0)
        surplus = len(history.items) + len(more) - 2_000
        history.items = (history.items + more.tolist())[max(surplus, 0) :]
        history.start += max(surplus, 0)
        batch = world.batch([1], [9], windows=False, masks=False)
        assert_identical(side.search(batch, 50, 5), side.expected(batch, 50, 5))
