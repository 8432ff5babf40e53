"""Vectors on the device against the table that they mirror."""

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import ItemIndex, VectorTable
from muse_stream.gsu_engine import table as table_module
from muse_stream.gsu_engine.arrays import F32, I8, I64
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.vectors import FIRST_SLOTS, STEP, DeviceVectors
from muse_stream.gsu_engine.errors import DeviceLostError, DeviceMemoryError
from tests.gsu_engine.cuda.devices import MakeDevice, OtherGrid
from tests.gsu_engine.cuda.numpy_device import NumpyDevice
from tests.gsu_engine.worlds import KINDS, draw_vectors

WIDTH = 64


def make(items: int = 20_000, rows: int = 20_000, width: int = WIDTH) -> VectorTable:
    return VectorTable("v1", width, ItemIndex(max_items=items), budget_bytes=rows * (width + 4))


def ones(count: int, value: int = 1, width: int = WIDTH) -> I8:
    return np.full((count, width), value, np.int8)


def content(device: Device, vectors: DeviceVectors, width: int) -> tuple[I8, F32]:
    rows = device.read(vectors.vectors, 0, vectors.vectors.bytes).wait().view(np.int8)
    norms = device.read(vectors.inv_norms, 0, vectors.inv_norms.bytes).wait().view(np.float32)
    return rows.reshape(-1, width), norms


def follow_and_compare(device: Device, vectors: DeviceVectors, table: VectorTable) -> None:
    with table.index.shared():
        vectors.follow()
        used, view = table.index.slots_in_use, table.view()
        rows, norms = content(device, vectors, table.dimension)
        assert len(rows) == len(norms) >= used
        expected = view.row_of_slot[:used]
        np.testing.assert_array_equal(norms[:used].view(np.uint32), view.inv_norms[expected].view(np.uint32))
        np.testing.assert_array_equal(rows[:used], view.rows[expected])
        assert not norms[used:].any()


def put(table: VectorTable, rng: np.random.Generator, kind: str) -> None:
    items = rng.integers(1, 60, int(rng.integers(0, 30)))
    table.put(items, draw_vectors(rng, kind, len(items), table.dimension))


def forget(table: VectorTable, rng: np.random.Generator, _: str) -> None:
    table.forget(rng.integers(1, 60, 10))


def see(table: VectorTable, rng: np.random.Generator, _: str) -> None:
    table.index.slots(rng.integers(1, 200, 20), create=True)


def reclaim(table: VectorTable, _: np.random.Generator, __: str) -> None:
    table.index.reclaim()


STEPS = {step.__name__: step for step in (put, forget, see, reclaim)}


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    width=st.sampled_from((64, 128, 1_024)),
    steps=st.lists(st.sampled_from([*STEPS, "follow"]), min_size=3, max_size=20),
    remembered=st.sampled_from((4, 40, 1_000)),
)
@settings(max_examples=60, deadline=None)
def test_the_copy_is_what_the_table_holds(
    make_device: MakeDevice, *, seed: int, kind: str, width: int, steps: list[str], remembered: int
) -> None:
    rng, device, table = np.random.default_rng(seed), make_device(), make(items=100, rows=50, width=width)
    vectors = DeviceVectors(device, table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_module, "CHANGES", remembered)
        for step in [*steps, "follow"]:
            if step == "follow":
                follow_and_compare(device, vectors, table)
            else:
                STEPS[step](table, rng, kind)


@pytest.mark.parametrize(("blocks", "threads"), [(1, 32), (1, 1_024), (3, 64), (50, 256)])
def test_any_number_of_blocks_is_right(make_device: MakeDevice, blocks: int, threads: int) -> None:
    device, table = cast("Device", OtherGrid(make_device(), blocks, threads)), make(width=192)
    vectors = DeviceVectors(device, table)
    table.put(np.arange(1, 301), draw_vectors(np.random.default_rng(0), "full", 300, 192))
    follow_and_compare(device, vectors, table)


def test_nothing_is_sent_when_nothing_has_changed() -> None:
    device, table = NumpyDevice(), make()
    vectors = DeviceVectors(device, table)
    table.put(np.arange(1, 10), ones(9))
    follow_and_compare(device, vectors, table)
    assert (device.launches, device.uploads) == (["fill"], 1)
    table.index.slots(np.arange(100, 200), create=True)
    follow_and_compare(device, vectors, table)
    assert device.uploads == 1


def test_a_slot_that_changed_often_is_sent_once_as_it_is_now() -> None:
    device, table = NumpyDevice(), make()
    vectors = DeviceVectors(device, table)
    for value in (1, 2, 3):
        table.put(np.array([5, 6, 5]), ones(3, value))
    table.forget(np.array([6]))
    follow_and_compare(device, vectors, table)  # `fill` of the device refuses a slot twice
    assert device.launches == ["fill"]


def test_what_is_too_long_ago_is_sent_whole_and_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "CHANGES", 10)
    device, table = NumpyDevice(), make(items=STEP + 100, rows=STEP + 100)
    vectors = DeviceVectors(device, table)
    table.put(np.arange(1, STEP + 11), ones(STEP + 10))
    table.forget(np.arange(1, 40))
    follow_and_compare(device, vectors, table)
    assert device.launches == ["fill", "fill"]


def test_every_slot_in_use_has_room_and_no_more_than_can_exist() -> None:
    device, table = NumpyDevice(), make(items=3 * FIRST_SLOTS)
    vectors = DeviceVectors(device, table)
    table.put(np.array([1, 2]), ones(2))
    sizes = []
    for items in (FIRST_SLOTS - 1, FIRST_SLOTS + 10, 3 * FIRST_SLOTS):
        table.index.slots(np.arange(1, items + 1), create=True)
        follow_and_compare(device, vectors, table)
        sizes.append(vectors.inv_norms.bytes // 4)
    assert sizes == [FIRST_SLOTS, 2 * FIRST_SLOTS, 3 * FIRST_SLOTS + 1]
    assert device.launches == ["fill"]  # growing copies on the device


def slot_of(table: VectorTable, item: int) -> int:
    return int(table.index.slots(np.array([item]), create=False)[0])


def inv_norm_at(device: Device, vectors: DeviceVectors, slot: int) -> float:
    return float(device.read(vectors.inv_norms, 4 * slot, 4).wait().view(np.float32)[0])


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("vector", [False, True])
def test_a_slot_that_means_another_item_now_has_that_items_vector(followed: bool, vector: bool) -> None:
    device, table = NumpyDevice(), make(items=4)
    vectors = DeviceVectors(device, table)
    table.put(np.array([1, 2]), ones(2))
    slot = slot_of(table, 2)
    follow_and_compare(device, vectors, table)
    assert inv_norm_at(device, vectors, slot) > 0
    table.forget(np.array([2]))
    if followed:
        follow_and_compare(device, vectors, table)
    assert table.index.reclaim() == 1
    new: I64 = np.array([77])
    if vector:
        table.put(new, ones(1, 3))
    else:
        table.index.slots(new, create=True)
    assert slot_of(table, 77) == slot
    follow_and_compare(device, vectors, table)
    assert (inv_norm_at(device, vectors, slot) > 0) == vector


def test_a_late_vector_is_there_after_the_next_follow() -> None:
    device, table = NumpyDevice(), make()
    vectors = DeviceVectors(device, table)
    slot = int(table.index.slots(np.array([9]), create=True)[0])
    follow_and_compare(device, vectors, table)
    assert inv_norm_at(device, vectors, slot) == 0
    table.put(np.array([9]), ones(1))
    follow_and_compare(device, vectors, table)
    assert inv_norm_at(device, vectors, slot) == 0.125


def test_without_room_to_grow_the_copy_stays_as_it_was() -> None:
    table = make()
    device = NumpyDevice(memory_bytes=FIRST_SLOTS * (WIDTH + 4) * 2)
    vectors = DeviceVectors(device, table)
    before = vectors.vectors.address, vectors.inv_norms.address
    table.put(np.arange(1, FIRST_SLOTS + 10), ones(FIRST_SLOTS + 9))
    for _ in range(2):
        with table.index.shared(), pytest.raises(DeviceMemoryError):
            vectors.follow()
    assert (vectors.vectors.address, vectors.inv_norms.address) == before
    assert device.launches == []


def test_what_failed_half_way_is_done_again() -> None:
    table = make(items=3 * STEP, rows=3 * STEP)
    device = NumpyDevice()
    vectors = DeviceVectors(device, table)
    table.put(np.arange(1, 2 * STEP), ones(2 * STEP - 1))
    device.fail_after(8)
    with table.index.shared(), pytest.raises(DeviceLostError):
        vectors.follow()
    assert device.launches == ["fill"]
    device.fail_after(1_000)
    follow_and_compare(device, vectors, table)
