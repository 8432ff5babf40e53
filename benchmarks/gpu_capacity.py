"""Users that fit on a GPU: by arithmetic, and filled until the first one has to leave.

Arithmetic takes the histories' own numbers: a page holds 512 behaviours in 2 048 bytes, every user pays for a ring in
the page table, and one part in 32 of the budget, at the most, is page table (`gsu_engine/cuda/histories.py`). Vectors
come on top: width + 4 bytes per item. The goal is 300 000 users of 100 000 behaviours in 128e9 bytes.

With `fill_bytes` a device's histories of that budget are filled with users of one length until the first one leaves;
where there is no GPU that row stays empty.
"""

import sys

import numpy as np

from muse_stream.benchmarks.report import Line, Row
from muse_stream.gsu_engine.cuda.cupy_device import open_device
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.histories import DeviceHistories, capacity
from muse_stream.gsu_engine.errors import BackendError
from muse_stream.gsu_engine.kernels.residents import PAGE

FIRST_USER, AT_ONCE = 1, 1 << 16  # users between two lines of progress


def run(
    *,
    memory: str = "128e9,80e9,24e9",
    lengths: str = "1000,10000,100000",
    cap: int = 100_000,
    items: int = 4_000_000,
    dimension: int = 128,
    fill_bytes: int = 0,
) -> list[Line]:
    """One row per memory and length: users; with `fill_bytes` those that entered before one left.

    Args:
        memory: Bytes for histories, separated by commas.
        lengths: Behaviours per user, separated by commas.
        cap: Behaviours kept per user: it sets what a user's ring costs.
        items: Items with a vector, whose bytes are told.
        dimension: Width of a vector.
        fill_bytes: Fill so many bytes of a GPU, with users of the longest length; 0: do not.

    """
    sizes = [int(float(word)) for word in memory.split(",")]
    each = [int(word) for word in lengths.split(",")]
    rows: list[Line] = [
        Row(f"{size / 1e9:g}e9 bytes, users of {length} behaviours", float(users_that_fit(size, length, cap)), "users")
        for size in sizes
        for length in each
    ]
    rows.append(Row(f"vectors of {items} items, width {dimension}", items * (dimension + 4) / 1e9, "e9 bytes"))
    return rows + ([_filled(fill_bytes, max(each), cap)] if fill_bytes else [])


def pages_of(length: int) -> int:
    """Pages that a history of so many behaviours touches, wherever in a page it starts: at the most."""
    return -(-(length - 1) // PAGE) + 1


def users_that_fit(size_bytes: int, length: int, cap: int) -> int:
    """Users of so many behaviours that are resident at once."""
    pages, users = capacity(size_bytes, cap)
    return min(users, pages // pages_of(length))


def _filled(size_bytes: int, length: int, cap: int) -> Line:
    case = f"{size_bytes / 1e9:g}e9 bytes filled with users of {length} behaviours"
    try:
        return Row(case, float(fill(open_device(), size_bytes, length, cap)), "users")
    except BackendError as error:
        print(f"not filled: {error}", file=sys.stderr)  # noqa: T201
        return Line(case, None, "users")


def fill(device: Device, size_bytes: int, length: int, cap: int) -> int:
    """Enter users of one length, worst start, until one leaves: how many there were. Raises as `DeviceHistories`."""
    histories = DeviceHistories(device, size_bytes, cap)
    slots = np.ones(length, np.uint32)
    count = 0
    while histories.stats().evictions == 0:
        if not histories.enter(FIRST_USER + count, PAGE - 1, slots, departures=histories.departures):
            break
        count += 1
        if count % AT_ONCE == 0:
            print(f"{count:,} users", file=sys.stderr)  # noqa: T201
    return count - min(histories.stats().evictions, 1)
