"""Replayed searches: the same bits whatever grew, moved or left in between, and none where there can be none."""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from muse_stream.gsu_engine import GsuEngine, SearchBatch
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.cuda import graphs, vectors
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.graph import StagedGraph
from muse_stream.gsu_engine.cuda.graphs import MOST, RESULTS_MOST_BYTES, UPLOAD_MOST_BYTES, Captured, Geometry, Graphs
from muse_stream.gsu_engine.cuda.grid import Grid
from muse_stream.gsu_engine.cuda.parcel import Packed
from muse_stream.gsu_engine.cuda.plan import Lists
from muse_stream.gsu_engine.cuda.ways import Way, Ways
from muse_stream.gsu_engine.errors import DeviceLostError, DeviceMemoryError
from tests.gsu_engine.cuda.devices import MakeDevice
from tests.gsu_engine.cuda.numpy_device import NumpyDevice
from tests.gsu_engine.cuda.side import Side
from tests.gsu_engine.cuda.stand_in import StandInBackend
from tests.gsu_engine.cuda.test_search import world_of
from tests.gsu_engine.oracle import assert_identical
from tests.gsu_engine.test_offload import Source, lengths, table_of
from tests.gsu_engine.test_offload import batch_of as batch_of_users
from tests.gsu_engine.worlds import draw_vectors

REPLAYED = Way(graph=True)
GRID = Grid.of(5, 3, Lists.of(50), 2)


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors grow after the first few items."""
    monkeypatch.setattr(vectors, "FIRST_SLOTS", 16)


def side_of(device: Device, lengths: list[int], way: Way = REPLAYED) -> Side:
    world = world_of("full", 3, lengths, width=64, items=40)
    return Side(device, world, world.table(), ways=Ways(always=way))


def batch_of(side: Side, candidates: list[int]) -> SearchBatch:
    return side.world.batch(list(side.world.histories), candidates, windows=True, masks=True, exclusions=True)


def alike(side: Side) -> SearchBatch:
    """One of those that all have one geometry."""
    return side.world.batch([1, 2], [3, 2], windows=False, masks=False, exclusions=True)


def assert_answers(side: Side, candidates: list[int], k: int = 7, recent: int = 5) -> None:
    batch = batch_of(side, candidates)
    assert_identical(side.search(batch, k, recent), side.expected(batch, k, recent))


def grow(side: Side, turn: int) -> None:
    """New behaviours, items that nobody had, and changed vectors."""
    table, history = side.table, side.world.histories[1]
    fresh = np.arange(1_000 + 40 * turn, 1_020 + 40 * turn)
    table.put(fresh, draw_vectors(side.world.rng, "full", len(fresh), 64))
    table.put(np.array([1, 2]), draw_vectors(side.world.rng, "full", 2, 64))
    slots = table.index.slots(fresh, create=True)
    side.histories.append(np.array([1]), np.array([history.stop]), np.array([0, 20]), slots, departures=0)
    history.items.extend(fresh.tolist())


def life(device: Device) -> Side:
    """Searches of one geometry, while all that they read moves; then of larger ones, and small again."""
    side = side_of(device, [300, 90])
    places = set()
    for turn in range(4):
        assert_answers(side, [3, 2])
        places.add(side.vectors.vectors.address)
        grow(side, turn)
    assert len(places) > 1, "vectors did not move"
    scratch = side.searching.bytes
    assert_answers(side, [40, 20])
    assert side.searching.bytes > scratch
    assert_answers(side, [3, 2])
    return side


def test_a_life_by_graphs(make_device: MakeDevice) -> None:
    stats = life(make_device()).searching.stats()
    assert stats.replays == 6
    assert stats.refused is None
    assert stats.graphs <= 3, "geometries are few"


def test_searches_of_one_geometry_share_a_graph_and_its_copies_are_their_own(make_device: MakeDevice) -> None:
    side = side_of(make_device(), [300, 90])
    batches = [alike(side), alike(side)]
    results = [side.search(batch, 7, 5) for batch in batches]
    assert side.searching.stats().graphs == 1
    for batch, result in zip(batches, results, strict=True):
        assert_identical(result, side.expected(batch, 7, 5))


def test_a_graph_that_somebody_waits_for_is_left_alone(make_device: MakeDevice) -> None:
    side = side_of(make_device(), [300, 90])
    batches = [alike(side) for _ in range(4)]
    running = [side.start(batch, 7, 5) for batch in batches[:3]]
    assert side.searching.stats().replays == 1
    results = [one.wait() for one in running[::-1]][::-1]
    results.append(side.search(batches[3], 7, 5))
    assert side.searching.stats().replays == 2
    for batch, result in zip(batches, results, strict=True):
        assert_identical(result, side.expected(batch, 7, 5))


def test_a_search_that_nobody_waits_for_frees_its_graph(make_device: MakeDevice) -> None:
    side = side_of(make_device(), [300, 90])
    side.start(alike(side), 7, 5)
    side.search(alike(side), 7, 5)
    assert side.searching.stats().replays == 2


def _of_the_first_search(captured: Captured, packed: Packed) -> Any:
    data = FIRST.setdefault(id(captured), packed.at(captured.parameters.address))
    return captured.graph.replay(data)


def _without_its_buffers(graphs_: Graphs, geometry: Geometry) -> None:
    device = graphs_._device
    parameters, results = device.allocate(geometry.upload_bytes), device.allocate(geometry.results_bytes)
    graph = device.capture(parameters, geometry.grid.launches(64, parameters.address), results)
    moved = device.allocate(geometry.upload_bytes), device.allocate(geometry.results_bytes)
    graphs_._held[geometry] = Captured(*moved, graph)


FIRST: dict[int, Any] = {}
PLANTS: dict[str, tuple[object, str, Callable[..., Any]]] = {
    "parameters of the capture": (Captured, "replay", _of_the_first_search),
    "buffers that have moved": (Graphs, "_capture", _without_its_buffers),
    "results of another geometry": (
        graphs.Geometry,
        "of",
        lambda grid, upload, _results: Geometry(grid.rounded(), 1 << 15, 64),
    ),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_stale_graph_is_found(make_stand_in: MakeDevice, plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FIRST.clear()
    monkeypatch.setattr(*PLANTS[plant])
    with pytest.raises((AssertionError, ValueError)):
        life(make_stand_in())


def test_a_graph_that_is_not_left_alone_is_found(make_stand_in: MakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StagedGraph, "_is_busy", lambda _graph: False)
    with pytest.raises(AssertionError):
        test_a_graph_that_somebody_waits_for_is_left_alone(make_stand_in)


def test_the_least_recently_used_graph_goes_with_its_memory() -> None:
    device = NumpyDevice()
    held = Graphs(device, 64)
    free = device.free_bytes()
    geometries = [Geometry.of(Grid.of(5, 3, Lists.of(k), 2), 1, 1) for k in range(205, 205 + MOST)]
    first = held.of(geometries[0])
    assert first is not None
    gone = weakref.ref(first.parameters)
    for geometry in [*geometries, geometries[0], Geometry.of(GRID, 1, 1)]:
        assert held.of(geometry) is not None
    assert len(held) == MOST
    assert held.of(geometries[0]) is first, "it was used in between"
    assert device.captures == MOST + 1
    assert free - device.free_bytes() == held.bytes
    held.clear()
    del first
    assert gone() is None
    assert device.free_bytes() == free


def test_sizes_are_rounded_up_to_powers_of_two_and_large_ones_do_without() -> None:
    geometry = Geometry.of(GRID, 5_000, 4_097)
    assert (geometry.upload_bytes, geometry.results_bytes) == (8_192, 8_192)
    assert (geometry.grid.filter_blocks, geometry.grid.finish_blocks) == (4, 4)
    held = Graphs(NumpyDevice(), 64)
    assert held.of(Geometry.of(GRID, UPLOAD_MOST_BYTES, RESULTS_MOST_BYTES)) is not None
    assert held.of(Geometry.of(GRID, UPLOAD_MOST_BYTES + 1, 1)) is None
    assert held.of(Geometry.of(GRID, 1, RESULTS_MOST_BYTES + 1)) is None


def test_a_device_that_captures_nothing_is_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    device = NumpyDevice()
    device.refuses_capture = True
    side = side_of(device, [300, 90])
    for _ in range(3):
        assert_answers(side, [3, 2])
    assert device.captures == 1
    assert (side.searching.stats().refused, side.searching.stats().replays) == ("the test refuses", 0)
    assert [record.getMessage() for record in caplog.records] == [
        "NumPy captures no graphs, small searches go without: the test refuses"
    ]


def test_without_memory_for_a_graph_a_search_goes_without() -> None:
    device = NumpyDevice()
    side = side_of(device, [300, 90], Way())
    batch = alike(side)
    expected = side.search(batch, 7, 5)  # scratch and results are there now
    side.searching._ways = Ways(always=REPLAYED)
    device._memory_bytes -= device.free_bytes()
    assert_identical(side.search(batch, 7, 5), expected)
    assert side.searching.stats().replays == 0


def test_results_that_stay_on_the_device_need_memory_of_their_own() -> None:
    device = NumpyDevice()
    side = side_of(device, [300, 90])
    batch = alike(side)
    expected = side.search(batch, 7, 5)
    device._memory_bytes -= device.free_bytes()
    with pytest.raises(DeviceMemoryError):
        side.search(batch, 7, 5, on_device=True)
    assert_identical(side.search(batch, 7, 5), expected)


def story(backends: list[Backend], fails_after: int | None) -> tuple[GsuEngine, int]:
    """Searches by graphs, appends and changes of vectors; the device fails after so many calls."""
    table, source = table_of(), Source(lengths(2, 60))
    backend = StandInBackend(backends[0], by_kernels=True, ways=Ways(always=REPLAYED))
    options = {"cap": 1_000, "pool_bytes": 1 << 18}
    engine = GsuEngine(table, backend=backend, **options)  # type: ignore[arg-type]
    plain = GsuEngine(table, backend=backends[0], **options)  # type: ignore[arg-type]
    device = backend.devices[0]
    begun = device.steps
    if fails_after is not None:
        device.fail_after(fails_after)
    for stop in (50, 55, 60):
        batch = batch_of_users(table, [1, 2], [stop, stop])
        expected = plain.search(batch, 5, 4, source)
        assert_identical(engine.search(batch, 5, 4, source, on_device=stop == 55), expected)
        engine.put_vectors(np.array([3]), np.full((1, 64), stop - 45, np.int8))
    return engine, device.steps - begun


def test_a_device_that_fails_at_any_call_costs_no_answer(backends: list[Backend]) -> None:
    engine, calls = story(backends, None)
    device = engine.stats().device
    assert device is not None
    assert (device.answered, device.ways.replays, device.ways.graphs) == (6, 3, 1)
    for after in range(calls):
        engine, _ = story(backends, after)
        device = engine.stats().device
        assert device is not None
        assert device.lost == "the test took the device away"
        assert device.ways.graphs == 0, "a lost device keeps none"


def test_a_lost_device_is_told_at_any_call_of_a_replayed_search() -> None:
    """Between asking and waiting there is no call that hides it."""
    for calls in range(5):
        device = NumpyDevice()
        side = side_of(device, [300, 90])
        batch = alike(side)
        side.search(batch, 7, 5)
        device.fail_after(calls)
        with pytest.raises(DeviceLostError):
            side.search(batch, 7, 5)
    side.searching.forget()
    assert side.searching.stats().graphs == 0
