"""Histories on the device: what is read back is what was put there, whoever had to leave for it."""

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import BudgetError
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.histories import PAGE_BYTES, DeviceHistories, capacity, ring_of
from muse_stream.gsu_engine.errors import DeviceLostError, DeviceMemoryError
from muse_stream.gsu_engine.kernels.residents import PAGE
from muse_stream.gsu_engine.pool import HistoryPool
from tests.gsu_engine.cuda.devices import MakeDevice, OtherGrid
from tests.gsu_engine.cuda.numpy_device import NumpyDevice
from tests.gsu_engine.pools import CAPS, SEEDS, STEPS, Model, Steps, append, enter
from tests.gsu_engine.test_pool import window as pool_window


def budget_for(pages: int, cap: int) -> int:
    """What so many pages cost where users have one each; short rings."""
    return (pages + 1) * (PAGE_BYTES + 4 * ring_of(cap))


def make(pages: int, cap: int = 10 * PAGE) -> tuple[DeviceHistories, NumpyDevice]:
    device = NumpyDevice()
    return DeviceHistories(device, budget_for(pages, cap), cap), device


def window(histories: DeviceHistories, user: int, start: int, stop: int) -> list[int] | None:
    slots = histories.slots_of(user, start, stop)
    return None if slots is None else slots.tolist()


def residents(histories: DeviceHistories, *users: int) -> list[bool]:
    flags = histories.resident(np.array(users)).tolist()
    assert histories.holds_all(np.array(users)) == all(flags)
    return list(flags)


@given(pages=st.integers(1, 40), cap=CAPS, seed=SEEDS, steps=STEPS)
@settings(max_examples=100, deadline=None)
def test_histories_never_lie(make_device: MakeDevice, pages: int, cap: int, seed: int, steps: Steps) -> None:
    histories = DeviceHistories(make_device(), budget_for(pages, cap), cap)
    model = Model([histories], [lambda *where: window(histories, *where)], seed)
    for step in steps:
        step(model)
        model.check()


@given(cap=CAPS, seed=SEEDS, steps=STEPS)
@settings(max_examples=50, deadline=None)
def test_with_room_for_everybody_they_hold_what_the_pool_holds(cap: int, seed: int, steps: Steps) -> None:
    pool, (histories, _) = HistoryPool(1 << 22, cap), make(500, cap)
    model = Model([histories, pool], [lambda *where: window(histories, *where), lambda *w: pool_window(pool, *w)], seed)
    for step in steps:
        step(model)
        model.check()
        for ours, theirs in zip(histories.spans(), pool.spans(), strict=True):
            assert ours.tolist() == theirs.tolist()
    assert histories.stats().evictions == pool.stats().evictions == 0


def test_an_append_is_one_upload_and_one_launch_however_many_users_it_has() -> None:
    histories, device = make(3_000)
    for user in range(1, 1_001):
        assert enter(histories, user, user, [user] * 3)
    device.launches.clear()
    device.uploads = 0
    append(histories, {user: (user + 3, [user] * (1 + user % 7)) for user in range(1, 1_001)})
    assert (device.launches, device.uploads) == (["append"], 1)
    assert all(window(histories, user, user, user + 4) == [user] * 4 for user in range(1, 1_001, 37))


def test_a_history_of_100_000_enters_in_one_upload_and_one_launch() -> None:
    device = NumpyDevice()
    histories = DeviceHistories(device, 1 << 24, cap=100_000)
    slots = np.arange(120_000, dtype=np.uint32)
    assert histories.enter(7, 1_000, slots, departures=0)
    assert (device.launches, device.uploads) == (["append"], 1)
    assert window(histories, 7, 21_000, 121_000) == slots[20_000:].tolist()


@pytest.mark.parametrize(("blocks", "threads"), [(1, 32), (1, 1_024), (3, 64), (50, 256)])
def test_any_number_of_blocks_is_right(make_device: MakeDevice, blocks: int, threads: int) -> None:
    device = cast("Device", OtherGrid(make_device(), blocks, threads))
    histories = DeviceHistories(device, 1 << 20, cap=20_000)
    for user, start in ((1, 0), (2, 700)):
        assert enter(histories, user, start, list(range(user, user + 9_000)))
    append(histories, {1: (9_000, list(range(1_234))), 2: (9_700, [5] * 33)})
    assert window(histories, 1, 0, 10_234) == [*range(1, 9_001), *range(1_234)]
    assert window(histories, 2, 700, 9_733) == [*range(2, 9_002), *[5] * 33]


def test_nothing_is_launched_for_users_who_are_not_here_or_rows_that_are_known() -> None:
    histories, device = make(10)
    assert enter(histories, 1, 5, [1, 2, 3])
    before = len(device.launches)
    append(histories, {2: (0, [1]), 1: (4, [9, 1, 2, 3])})
    append(histories, {1: (8, [])})
    assert not enter(histories, 3, 0, [])
    assert len(device.launches) == before
    assert window(histories, 1, 5, 8) == [1, 2, 3]


def test_who_has_a_gap_leaves() -> None:
    histories, _ = make(10)
    assert enter(histories, 1, 0, [1, 2, 3])
    append(histories, {1: (4, [5])})
    assert residents(histories, 1) == [False]


def test_the_oldest_fall_off_page_by_page_and_the_last_cap_stay(make_device: MakeDevice) -> None:
    histories = DeviceHistories(make_device(), budget_for(8, 1_000), cap=1_000)
    assert enter(histories, 1, 0, list(range(1_000)))
    for at in range(1_000, 9_000, 250):
        append(histories, {1: (at, list(range(at, at + 250)))})
        assert histories.stats().behaviours < 1_000 + PAGE
        assert histories.stats().bytes <= 3 * PAGE_BYTES + 4 * histories.ring
    assert window(histories, 1, 8_000, 9_000) == list(range(8_000, 9_000))
    assert window(histories, 1, 7_000, 8_000) is None


def test_rows_that_would_fall_off_at_once_are_not_sent() -> None:
    histories, device = make(4, cap=600)
    assert enter(histories, 1, 0, [1])
    append(histories, {1: (1, list(range(1, 100_000)))})
    assert len(device.launches) == 2
    assert histories.stats().evictions == 0
    assert window(histories, 1, 99_400, 100_000) == list(range(99_400, 100_000))


def test_least_recently_used_users_leave_first() -> None:
    histories, _ = make(3, cap=PAGE)
    for user in (1, 2, 3):
        assert enter(histories, user, 0, [user])
    found = histories.find(np.array([1, 4, 1]), np.array([0, 0, 0]), np.array([1, 1, 2]))  # 1 is used
    assert (found > 0).tolist() == [True, False, False]
    append(histories, {2: (1, [9])})  # appended to, which is no use
    assert enter(histories, 4, 0, [4])
    assert residents(histories, 1, 2, 3, 4) == [True, False, True, True]
    assert histories.stats().evictions == 1


def test_records_of_a_batch_are_distinct_and_those_of_users_who_left_are_used_again() -> None:
    histories, _ = make(3, cap=PAGE)
    for user in range(1, 10):
        assert enter(histories, user, 0, [user])
    users = np.array([7, 8, 9])
    assert sorted(histories.find(users, np.zeros(3, np.int64), np.ones(3, np.int64)).tolist()) == [1, 2, 3]


def test_when_all_records_are_taken_somebody_leaves_although_there_are_pages() -> None:
    cap = 100_000
    pages, users = capacity(1 << 20, cap)
    histories = DeviceHistories(NumpyDevice(), 1 << 20, cap)
    assert users < pages // 2
    for user in range(1, users + 4):
        assert enter(histories, user, 0, [user])
    assert (histories.stats().users, histories.stats().evictions) == (users, 3)
    assert residents(histories, 1, 2, 3, 4) == [False, False, False, True]


def test_a_user_larger_than_the_budget_is_not_kept_and_disturbs_nobody() -> None:
    histories, device = make(2)
    assert enter(histories, 1, 0, [1])
    assert not enter(histories, 2, 0, [2] * (3 * PAGE))
    assert residents(histories, 1, 2) == [True, False]
    assert device.launches == ["append"]


def test_growing_users_push_others_out_and_leave_when_alone_too_large() -> None:
    histories, device = make(4)
    assert enter(histories, 1, 0, [1] * PAGE)
    assert enter(histories, 2, 0, [2] * PAGE)
    append(histories, {2: (PAGE, [2] * (3 * PAGE))})
    assert residents(histories, 1, 2) == [False, True]
    launches = len(device.launches)
    append(histories, {2: (4 * PAGE, [2])})
    assert residents(histories, 1, 2) == [False, False]
    assert len(device.launches) == launches
    assert (histories.stats().behaviours, histories.stats().bytes) == (0, 0)


def test_a_full_pool_takes_in_what_its_users_lose_in_the_same_batch() -> None:
    histories, _ = make(4, cap=PAGE)
    assert enter(histories, 1, 0, [1] * PAGE)
    append(histories, {1: (PAGE, [1] * (PAGE - 1))})
    assert enter(histories, 2, 0, [2] * PAGE)
    append(histories, {2: (PAGE, [2] * (PAGE - 1))})
    append(histories, {1: (2 * PAGE - 1, [3, 3]), 2: (2 * PAGE - 1, [4, 4])})
    assert histories.stats().evictions == 0
    assert window(histories, 1, PAGE + 1, 2 * PAGE + 1) == [1] * (PAGE - 2) + [3, 3]
    assert window(histories, 2, PAGE + 1, 2 * PAGE + 1) == [2] * (PAGE - 2) + [4, 4]


def test_who_was_touched_in_a_batch_stays_until_its_end() -> None:
    histories, _ = make(3, cap=3 * PAGE)
    for user in (1, 2, 3):
        assert enter(histories, user, 0, [user] * PAGE)
    append(histories, {1: (PAGE, [1]), 3: (PAGE, [3])})  # 2 leaves for 1; nobody is left to leave for 3
    assert residents(histories, 1, 2, 3) == [True, False, False]
    assert window(histories, 1, 0, PAGE + 1) == [1] * (PAGE + 1)


def test_what_was_read_before_a_departure_does_not_come_in_after_it() -> None:
    histories, device = make(10)
    before = histories.departures
    histories.drop(np.array([7]))
    assert not histories.enter(7, 0, np.ones(3, np.uint32), departures=before)
    rows = np.array([7]), np.array([0]), np.array([0, 1]), np.ones(1, np.uint32)
    assert not histories.append(*rows, departures=before)
    assert histories.append(*rows, departures=histories.departures)
    assert device.launches == []


def test_clear_forgets_everybody_and_counts_as_a_departure() -> None:
    histories, _ = make(2_000)
    for user in range(1, 1_501):
        assert enter(histories, user, user, [user])
    assert all(window(histories, user, user, user + 1) == [user] for user in range(1, 1_501, 50))
    before = histories.departures
    histories.clear()
    assert histories.departures > before
    assert (histories.stats().users, histories.stats().behaviours, histories.stats().bytes) == (0, 0, 0)


def test_128_gigabytes_hold_300_000_histories_of_100_000() -> None:
    budget, cap = 128 * 10**9, 100_000
    pages, users = capacity(budget, cap)
    assert (pages + 1) * PAGE_BYTES + (users + 1) * 4 * ring_of(cap) <= budget
    most_pages = -(-(cap + PAGE - 1) // PAGE)  # begins in the last slot of a page
    assert ring_of(cap) == most_pages + 1 == 198
    assert min(users, pages // most_pages) >= 300_000
    assert users > 5_000_000


@pytest.mark.parametrize(("cap", "budget"), [(PAGE, 1 << 20), (5_000, 1 << 21), (20_000, 1 << 22)])
def test_so_many_full_histories_find_room_as_was_computed(cap: int, budget: int) -> None:
    histories = DeviceHistories(NumpyDevice(), budget, cap)
    pages, users = capacity(budget, cap)
    assert histories.pages.bytes + histories.page_table.bytes <= budget
    assert histories.pages.bytes + histories.page_table.bytes > budget - PAGE_BYTES - 4 * histories.ring
    expected = min(users, pages // -(-cap // PAGE))
    user = 0
    while histories.stats().evictions == 0:
        user += 1
        assert enter(histories, user, 0, [user] * cap)
        assert histories.stats().bytes <= budget
    assert user == expected + 1


def test_users_leave_whose_upload_finds_no_room() -> None:
    device = NumpyDevice(memory_bytes=(1 << 20) + 200_000)
    histories = DeviceHistories(device, 1 << 20, cap=50_000)
    for user in (1, 2, 3):
        assert enter(histories, user, 0, [user])
    with pytest.raises(DeviceMemoryError):
        append(histories, {1: (1, [1] * 30_000), 2: (1, [2] * 30_000)})
    assert residents(histories, 1, 2, 3) == [False, False, True]
    assert enter(histories, 1, 0, [7])
    assert window(histories, 1, 0, 1) == [7]
    assert window(histories, 3, 0, 1) == [3]


def test_a_lost_device_is_told() -> None:
    histories, device = make(10)
    assert enter(histories, 1, 0, [1])
    device.fail_after(1)
    with pytest.raises(DeviceLostError):
        append(histories, {1: (1, [1])})
    assert residents(histories, 1) == [False]


@pytest.mark.parametrize(("budget", "cap"), [(4_000, 10), (1 << 20, 0)])
def test_a_budget_below_one_page_and_one_user_is_refused(budget: int, cap: int) -> None:
    with pytest.raises(BudgetError, match=f"{budget} bytes, cap {cap}"):
        DeviceHistories(NumpyDevice(), budget, cap)


def test_a_budget_above_the_devices_memory_is_refused() -> None:
    with pytest.raises(DeviceMemoryError):
        DeviceHistories(NumpyDevice(memory_bytes=1 << 20), 1 << 21, 10)
