"""A user's rows kept as the tile reads them, so that a search need not gather them: writing, renewing, finding.

Layout: lanes are filled from the last to the first, so lanes in rising order are rows from the newest to the oldest:
a search meets them in the order in which it gathers rows itself, and reads memory upwards, five times as fast as
downwards. Beside each lane: inverse norm, place (position - base; `NOWHERE` = nobody) and slot.
Consequences: an append writes into free lanes and moves nothing; the rows that fall off at the old end stay until they
are many, and a search passes over them by their places; d + 12 bytes a row (4 d + 12 with the float32 form).

Rows without a vector have no lane; their slots are kept in a list. A vector that comes late belongs between rows that
are there already, and one that is taken away leaves a hole: then the copy is made anew.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import Any, NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, U8, U32
from muse_stream.gsu_engine.kernels.forms import Marker, is_integer, rows_of
from muse_stream.gsu_engine.kernels.jit import Int, Truth, inner, kernel

PLUS_128 = 0x80808080  # on each byte of a word: see `kernels.forms`
MARKS = 1 << 16  # bytes of the filter for changed slots: fits the first two cache levels


class Lanes(NamedTuple):
    """One copy's arrays; row i lies in lane `len(places) - 1 - i`."""

    blocks: U32  # an int8 form's bytes, or float32 bits
    inv_norms: F32
    places: U32
    slots: U32
    absent: U32  # slots of rows without a vector


class Packed(NamedTuple):
    """What one search reads of a copy: appends and renewals made later do not show in its window.

    `standing` is a `standing.Standing`, or None: kernels do not know the class.
    """

    lanes: Lanes
    ends: tuple[int, int, int, int]  # addresses behind blocks, inverse norms, places and slots
    base: int  # position of place 0
    first: int  # first row to read, the first of a block
    rows: int  # end of the rows to read
    standing: Any = None


class Source(NamedTuple):
    """The vector table as packing reads it."""

    row_of_slot: U32
    rows: I8
    words: U32  # the same bytes, four to a word
    inv_norms: F32


@inner
def lane_of(lanes: Lanes, row: Int) -> Int:
    """Where a row of the copy lies."""
    return len(lanes.places) - 1 - row


@inner
def write(lanes: Lanes, table: Source, lane: Int, row: Int, marker: Marker) -> None:
    """Put a table row into a lane."""
    size, width = rows_of(marker), table.rows.shape[1]
    if is_integer(marker):
        words = width // 4
        at = lane // size * size * words + lane % size
        for word in range(words):
            lanes.blocks[at + word * size] = table.words[row, word] ^ np.uint32(PLUS_128)
    else:
        at = lane // size * size * width + lane % size
        for column in range(width):
            lanes.blocks[at + column * size] = np.float32(table.rows[row, column]).view(np.uint32)
    lanes.inv_norms[lane] = table.inv_norms[row]


@kernel
def append(
    lanes: Lanes, table: Source, slots: U32, place: Int, rows: Int, absent: Int, marker: Marker
) -> tuple[Int, Int]:
    """Add behaviours from `place` on behind the `rows` there are; returns the new numbers of rows and absent slots."""
    for i in range(len(slots)):
        row = np.int64(table.row_of_slot[slots[i]])
        if row == 0:
            lanes.absent[absent] = slots[i]
            absent += 1
        else:
            lane = lane_of(lanes, rows)
            lanes.places[lane] = place + i
            lanes.slots[lane] = slots[i]
            write(lanes, table, lane, row, marker)
            rows += 1
    return rows, absent


@inner
def is_in(slot: Int, changed: U32, marks: U8) -> Truth:
    """Whether a slot is among the changed ones, which are sorted; nearly all others end at the mark."""
    if marks[slot % MARKS] == 0:
        return False
    at = np.searchsorted(changed, slot)
    return at < len(changed) and changed[at] == slot


@kernel
def renew(lanes: Lanes, table: Source, changed: U32, rows: Int, absent: Int, marker: Marker) -> Int:
    """Bring the vectors of changed slots up to date; how many, or -1: one came or went, make the copy anew."""
    renewed = 0
    marks = np.zeros(MARKS, np.uint8)
    for slot in changed:
        marks[slot % MARKS] = 1
    for i in range(absent):
        if is_in(lanes.absent[i], changed, marks) and table.row_of_slot[lanes.absent[i]] != 0:
            return -1
    for i in range(rows):
        lane = lane_of(lanes, i)
        if is_in(lanes.slots[lane], changed, marks):
            row = np.int64(table.row_of_slot[lanes.slots[lane]])
            if row == 0:
                return -1
            write(lanes, table, lane, row, marker)
            renewed += 1
    return renewed


@kernel
def first_alive(lanes: Lanes, rows: Int, place: Int, size: Int) -> Int:
    """First row of the first block, of `size` rows, that holds a row at or after `place`; places rise with rows."""
    low, high = np.int64(0), np.int64(rows // size)
    while low < high:
        middle = (low + high) // 2
        if lanes.places[lane_of(lanes, middle * size + size - 1)] < place:
            low = middle + 1
        else:
            high = middle
    return low * size
