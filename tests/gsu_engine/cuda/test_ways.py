"""The way of a small search: what is fastest on the device at hand, and the same answer whichever it is."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from muse_stream.gsu_engine import BackendError, GsuEngine
from muse_stream.gsu_engine.backends import cuda
from muse_stream.gsu_engine.backends.cpu import CpuBackend
from muse_stream.gsu_engine.backends.cuda import CudaBackend
from muse_stream.gsu_engine.cuda import measure, ways
from muse_stream.gsu_engine.cuda.layout import PAIR, SEARCH
from muse_stream.gsu_engine.cuda.plan import Lists
from muse_stream.gsu_engine.cuda.search import DeviceSearch
from muse_stream.gsu_engine.cuda.ways import CANDIDATES, ROWS, THREE_LAUNCHES, WHOLE_TO, Measured, Shape, Way, Ways
from tests.gsu_engine.cuda import numpy_search  # noqa: F401 - brings its kernels
from tests.gsu_engine.cuda.numpy_device import NumpyDevice
from tests.gsu_engine.cuda.side import Side
from tests.gsu_engine.cuda.test_search import world_of
from tests.gsu_engine.oracle import assert_identical
from tests.gsu_engine.test_offload import Source, batch_of, table_of

GRAPH, WHOLE, BOTH = Way(graph=True), Way(whole=True), Way(whole=True, graph=True)


class Priced(NumpyDevice):
    """Calls take as long as the test says, by the device's clock."""

    asking = sampling = listing = 0.0

    def write(self, buffer: Any, at_bytes: int, data: NDArray[Any]) -> None:
        self.seconds += self.asking
        super().write(buffer, at_bytes, data)

    def launch(self, kernel: str, blocks: int, threads: int, shared_bytes: int, argument: int) -> None:
        if kernel.startswith("threshold"):
            work = self.struct(argument, SEARCH)
            rows, samples = self.view(work["pairs"], PAIR, 1)[0]["length"], work["sample_items"] > 0
            self.seconds += 1.0 + (self.sampling if samples else self.listing * (rows > 280))
        super().launch(kernel, blocks, threads, shared_bytes, argument)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes that NumPy's kernels search in no time, and nothing known of any device."""
    monkeypatch.setattr(ways, "ROWS", (270, 300, 330))
    monkeypatch.setattr(ways, "WHOLE_TO", 300)
    monkeypatch.setattr(ways, "CANDIDATES", (1, 3))
    monkeypatch.setattr(measure, "WARM_UPS", 1)
    monkeypatch.setattr(measure, "TURNS", 3)
    monkeypatch.setattr(measure, "ITEMS", 64)
    monkeypatch.setattr(cuda, "WAYS", {})


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("asking", "sampling", "listing", "expected"),
    [
        (0.0, 0.0, 0.0, (THREE_LAUNCHES, THREE_LAUNCHES, THREE_LAUNCHES)),
        (0.04, 0.04, 0.0, (BOTH, BOTH, THREE_LAUNCHES)),  # of 1.08, 1.00 is worth it; of 1.04 it is not
        (9.0, 0.0, 0.0, (GRAPH, GRAPH, GRAPH)),
        (0.0, 9.0, 0.0, (WHOLE, WHOLE, THREE_LAUNCHES)),
        (9.0, 9.0, 0.0, (BOTH, BOTH, GRAPH)),
        (9.0, 5.0, 7.0, (BOTH, GRAPH, GRAPH)),  # long lists cost more
    ],
)
def test_the_fastest_way_of_each_shape_is_taken_where_it_is_worth_it(
    asking: float, sampling: float, listing: float, expected: tuple[Way, ...]
) -> None:
    device = Priced()
    device.asking, device.sampling, device.listing = asking, sampling, listing
    found = measure.measure(device, 64, 5, Shape.every())
    assert set(found) == {Shape(rows, candidates) for rows in (270, 300, 330) for candidates in (1, 3)}
    for rows, way in zip((270, 300, 330), expected, strict=True):
        for candidates in (1, 3):
            measured = found[Shape(rows, candidates)]
            assert measured.way == way, (rows, candidates, measured)
            assert list(measured.seconds) == Shape(rows, candidates).ways()


def test_shapes_are_the_smallest_bounds_that_hold_a_search() -> None:
    assert Shape.of(1, 1) == Shape(ROWS[0], CANDIDATES[0])
    assert Shape.of(ROWS[0], CANDIDATES[0]) == Shape(ROWS[0], CANDIDATES[0])
    assert Shape.of(ROWS[0] + 1, CANDIDATES[0] + 1) == Shape(ROWS[1], CANDIDATES[1])
    assert Shape.of(ROWS[-1] + 1, 1) is None
    assert Shape.of(1, CANDIDATES[-1] + 1) is None
    assert Shape(WHOLE_TO, 1).ways() == [THREE_LAUNCHES, GRAPH, WHOLE, BOTH]
    assert Shape(WHOLE_TO + 1, 1).ways() == [THREE_LAUNCHES, GRAPH]


def test_what_was_not_measured_takes_three_launches() -> None:
    known = Ways()
    assert known.way(10, 1) == THREE_LAUNCHES
    known.learn({Shape(ROWS[0], 1): Measured(BOTH, {BOTH: 1.0})})
    assert known.way(10, 1) == BOTH
    assert known.way(10, 2) == THREE_LAUNCHES
    assert known.way(10, CANDIDATES[-1] + 1) == THREE_LAUNCHES
    assert [Ways(always=BOTH).way(rows, 1) for rows in (WHOLE_TO, WHOLE_TO + 1)] == [BOTH, GRAPH]


@pytest.mark.parametrize("k", [1, 50, 1_000])
def test_windows_that_are_taken_whole_have_room_for_all_their_rows(k: int) -> None:
    assert Lists.of(k, WHOLE_TO).room >= WHOLE_TO
    assert Lists.of(k, 1_025).whole_to == max(2_048, Lists.of(k).whole_to), "sizes are few"
    assert Lists.of(k, 0) == Lists.of(k)


@pytest.mark.parametrize("rows", [257, 1_500])
def test_a_window_that_is_taken_whole_is_not_sampled(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world, device = world_of("full", 1, [rows], width=64), NumpyDevice()
    side = Side(device, world, world.table(), ways=Ways(always=WHOLE))
    batch = world.batch([1], [3], windows=False, masks=True, exclusions=True)
    sampled: list[int] = []
    launch = device.launch

    def watched(*arguments: Any) -> None:
        if arguments[0] != "fill":
            sampled.append(device.struct(arguments[-1], SEARCH)["sample_items"])
        launch(*arguments)

    monkeypatch.setattr(device, "launch", watched)
    assert_identical(side.search(batch, 5, 3), side.expected(batch, 5, 3))
    assert sampled == [0, 0, 0]


def backend_on(make: Callable[[], Any]) -> CudaBackend:
    return CudaBackend(CpuBackend(1), make)


@pytest.mark.usefixtures("small")
def test_engines_of_one_device_share_what_was_measured_and_tell_it(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Priced:
        device = Priced()
        device.asking = 9.0
        return device

    backend, table = backend_on(make), table_of()
    before = GsuEngine(table, cap=1_000, pool_bytes=1 << 18, backend=backend)
    with caplog.at_level(logging.INFO, cuda.__name__):
        backend.tune(64, 5)
    assert any("NumPy, vectors of 64, rows <= 270, candidates <= 1: sampled, graph (" in one for one in caplog.messages)
    source = Source({1: np.arange(1, 41)})
    for engine in (before, GsuEngine(table, cap=1_000, pool_bytes=1 << 18, backend=backend_on(make))):
        engine.search(batch_of(table, [1], [40]), 5, 4, source)
        device = engine.stats().device
        assert device is not None
        assert device.ways.replays == device.ways.graphs == 1
        assert device.ways.chosen["rows <= 330, candidates <= 3"].startswith("sampled, graph (sampled, launches ")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("trouble", ["memory", "lost", "none to open"])
def test_what_cannot_be_measured_is_not_and_the_log_says_why(trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    devices: list[NumpyDevice] = []

    def make() -> NumpyDevice:
        if devices and trouble == "none to open":
            message = "no device any more"
            raise BackendError(message)
        devices.append(NumpyDevice(memory_bytes=1_000 if trouble == "memory" else 1 << 30))
        return devices[-1]

    backend = backend_on(make)
    if trouble == "lost":
        devices[0].fail_after(40)
    if trouble == "none to open":
        backend._spare = None
    backend.tune(64, 5)
    assert "small searches are not measured, they take three launches" in caplog.text
    assert cuda.ways_on("NumPy", 64).way(1, 1) == THREE_LAUNCHES


@pytest.mark.usefixtures("small")
def test_widths_without_kernels_are_not_measured() -> None:
    backend = backend_on(Priced)
    backend.tune(192, 5)
    assert not cuda.ways_on("NumPy", 192).measured


def test_a_search_that_was_told_nothing_takes_three_launches() -> None:
    device = NumpyDevice()
    assert DeviceSearch(device, 64).stats().chosen == {}
    world = world_of("full", 1, [50], width=64)
    side = Side(device, world, world.table())
    side.search(world.batch([1], [1], windows=False, masks=False), 5, 3)
    assert device.captures == 0
    assert device.launches[-3:] == ["threshold_64", "filter_64", "finish_64"]
