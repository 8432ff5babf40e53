"""Scores that stay on the device: the host's bits, unchanged as long as somebody has them, or none at all."""

import gc

import numpy as np
import pytest
from numpy.typing import NDArray

from muse_stream.gsu_engine import GsuEngine, SearchBatch, SearchResult
from muse_stream.gsu_engine.columns import Column, DeviceColumns
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.cuda import search
from muse_stream.gsu_engine.cuda.ways import Way, Ways
from tests.gsu_engine.cuda.devices import MakeDevice
from tests.gsu_engine.cuda.side import Side
from tests.gsu_engine.cuda.stand_in import StandInBackend
from tests.gsu_engine.cuda.test_search import world_of
from tests.gsu_engine.test_offload import Source, batch_of, lengths, table_of

HOST = 1  # DLPack's number


def side_of(make_device: MakeDevice, way: Way) -> Side:
    world = world_of("full", 3, [300, 90], width=64, items=40)
    return Side(make_device(), world, world.table(), ways=Ways(always=way))


def batch_of_side(side: Side) -> SearchBatch:
    return side.world.batch([1, 2], [3, 2], windows=False, masks=True, exclusions=True)


def bits(column: Column) -> NDArray[np.uint32]:
    """As another library reads it."""
    if column.__dlpack_device__()[0] != HOST:
        cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
        array: NDArray[np.float32] = cupy.asnumpy(cupy.from_dlpack(column))
        return np.ascontiguousarray(array).view(np.uint32)
    return np.ascontiguousarray(np.from_dlpack(column)).view(np.uint32)


def assert_same(columns: DeviceColumns | None, result: SearchResult) -> None:
    assert columns is not None
    np.testing.assert_array_equal(bits(columns.scores), result.scores.view(np.uint32))
    np.testing.assert_array_equal(bits(columns.recent_scores), result.recent_scores.view(np.uint32))


@pytest.mark.parametrize("way", [Way(), Way(graph=True)], ids=str)
def test_columns_stay_as_they_are_whatever_is_searched_next(make_device: MakeDevice, way: Way) -> None:
    side = side_of(make_device, way)
    results = [side.search(batch_of_side(side), 400, 5, on_device=True) for _ in range(4)]
    side.search(batch_of_side(side), 400, 5)
    gc.collect()
    for result in results:
        assert_same(result.device, result)
    assert (results[0].scores == 0).any(), "fewer rows than K, and nothing but zeros beyond them"


def test_parts_of_columns_are_views(make_device: MakeDevice) -> None:
    side = side_of(make_device, Way())
    result = side.search(batch_of_side(side), 7, 5, on_device=True)
    assert result.device is not None
    part = result.device.cut(1, 4, 3, 2)
    np.testing.assert_array_equal(bits(part.scores), result.scores[1:4, :3].copy().view(np.uint32))
    np.testing.assert_array_equal(bits(part.recent_scores), result.recent_scores[1:4, :2].copy().view(np.uint32))
    if part.scores.__dlpack_device__()[0] == HOST:
        assert np.shares_memory(np.from_dlpack(part.scores), np.from_dlpack(result.device.scores))


def test_nothing_stays_where_that_was_not_asked_for(make_device: MakeDevice) -> None:
    side = side_of(make_device, Way())
    assert side.search(batch_of_side(side), 7, 5).device is None


def test_nothing_stays_of_a_search_in_parts(make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SCRATCH_BYTES", 8 * 1_024 * 2)
    side = side_of(make_device, Way())
    assert side.search(batch_of_side(side), 7, 5, on_device=True).device is None


def test_an_engine_keeps_columns_only_where_the_device_answers_the_whole_batch(backends: list[Backend]) -> None:
    table = table_of()
    engine = GsuEngine(table, cap=1_000, pool_bytes=1 << 18, backend=StandInBackend(backends[0], by_kernels=True))
    source = Source(lengths(3, 60))

    def found(users: list[int], stops: list[int]) -> SearchResult:
        return engine.search(batch_of(table, users, stops), 5, 4, source, on_device=True)

    whole = found([1, 2], [60, 60])
    assert_same(whole.device, whole)
    assert found([1, 2], [60, 0]).device is None, "an empty window is the CPU's"
    engine.drop(np.array([1]))
    assert found([1, 2], [60, 60]).device is None, "a user that was dropped is the CPU's"
    again = found([2, 3], [60, 60])
    assert_same(again.device, again)
    assert engine.search(batch_of(table, [2], [60]), 5, 4, source).device is None
    plain = GsuEngine(table, cap=1_000, pool_bytes=1 << 18, backend=backends[0])
    assert plain.search(batch_of(table, [2], [60]), 5, 4, source, on_device=True).device is None
