"""Gathering rows of a history into the blocks that a tile reads.

Layout: see `kernels.forms`. Rows without a vector and rows that are not allowed never get into a block, so the product
is spent on rows that can be retrieved. A block's last rows may be padding: row 0, nowhere in a window.

A third to a half of a history are repeats of an item. A row is gathered once, at its newest place; `older` leads from
there to its older places, `NOWHERE` behind the oldest. What was seen is remembered in a table that fits the cache and
forgets: a row that it has forgotten is gathered again, as another one, which costs time and changes no answer.
"""

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, I32, I64, U32, U64, Flags
from muse_stream.gsu_engine.kernels.forms import Marker, cell_bytes_of, is_integer, lanes_of, rows_of
from muse_stream.gsu_engine.kernels.jit import Int, inner
from muse_stream.gsu_engine.kernels.memory import prefetch
from muse_stream.gsu_engine.kernels.transpose import transpose

# Ends of blocks, inverse norms, places and slots; place -> index; length; first row and end of the rows. 0 = gather.
PACKED_COLUMNS = 8
CACHE_LINE = 64
AHEAD = 64  # rows asked for before they are packed: two cache lines each at d = 128, a quarter of the first level
SEEN_BUCKETS = 1 << 15  # 256 KiB: with a superblock, half of a core's second-level cache
NOWHERE = 2**32 - 1  # place of a lane that is nobody's: beyond any window


class Query(NamedTuple):
    """What a search reads: see `contract.Work`, and candidates in the forms that tiles take."""

    marker: Marker  # the form: see `kernels.forms`
    slots: U32  # [N]
    offsets: I64  # [P+1]
    bounds: I64  # [P+1]
    allowed: Flags  # [N], or [0] = all
    row_of_slot: U32
    rows: I8  # [rows, d]
    inv_norms: F32
    vectors: I8  # [T, d] candidates
    floats: F32  # [T, d], or [0, d] where an int8 form is used
    candidate_inv_norms: F32  # [T]
    excluded: U32  # [T] slot that is not retrieved for the candidate, 0 = none
    searched: I64  # [P] the first candidates of a pair: only these are searched for, all get their recent scores
    packed: I64  # [P, PACKED_COLUMNS]; see there


class Arena(NamedTuple):
    """What one thread writes."""

    blocks: F32  # the superblock; an int8 form's bytes in the same memory
    looked_up: U32  # [rows of a superblock] rows in the table, 0 = absent
    numbers: U32  # [rows of a superblock] those that are packed
    places: U32  # [rows of a superblock] index in the window
    slots: U32  # [rows of a superblock]
    inv_norms: F32  # [rows of a superblock]
    seen_rows: U32  # [SEEN_BUCKETS] row seen last in a bucket, `NOWHERE` = none
    seen_last: U32  # [SEEN_BUCKETS] its oldest place so far, counted from the start of the unit
    older: U32  # [rows of a unit] next older place of the same row
    biases: I32  # [candidates] what a candidate's sums start at
    limits: F32  # [candidates] what a product must exceed, see `scan.limit_of`
    cuts: F32  # [candidates] what a score must exceed
    scores: F32  # [candidates, room] lists
    indices: U32  # [candidates, room]
    counts: I64  # [candidates] lengths of the lists
    keys: U64  # [room]
    ranks: I64  # [room]
    sorted: U64  # [room]


class Unit(NamedTuple):
    """Where a unit's slots lie: see `kernels.shares`."""

    start: Int  # of the pair's window
    bottom: Int  # of the unit
    mask: Int  # of its buckets


@inner
def block_bytes(query: Query) -> Int:
    """Bytes of a block."""
    return rows_of(query.marker) * query.rows.shape[1] * cell_bytes_of(query.marker)


@inner
def ask_for(query: Query, numbers: U32) -> None:
    """Have rows of the table brought to the cache, while others are packed."""
    table, width = query.rows.ctypes.data, query.rows.shape[1]
    for number in numbers:
        for byte in range(0, width, CACHE_LINE):
            prefetch(table + np.int64(number) * width + byte)


@inner
def pack(query: Query, arena: Arena, rows: Int) -> Int:
    """Copy rows `numbers[:rows]` of the table into blocks, the last one padded; returns the number of blocks."""
    size, lanes, width = rows_of(query.marker), lanes_of(query.marker), query.rows.shape[1]
    blocks = (rows + size - 1) // size
    arena.numbers[rows : blocks * size] = 0
    arena.inv_norms[rows : blocks * size] = 0
    arena.places[rows : blocks * size] = NOWHERE
    table, numbers = query.rows.ctypes.data, arena.numbers.ctypes.data
    column = size * cell_bytes_of(query.marker)  # bytes of one component of all rows
    ask_for(query, arena.numbers[:AHEAD])
    for block in range(blocks):
        out = arena.blocks.ctypes.data + block * block_bytes(query)
        ask_for(query, arena.numbers[block * size + AHEAD : min((block + 1) * size + AHEAD, rows)])
        for lane in range(0, size, lanes):
            for byte in range(0, width, 4 * lanes):
                transpose(query.marker, table + byte, numbers + lane * 4, width, out + byte * column + lane * 4)
        numbers += size * 4
    return blocks


@inner
def forget(arena: Arena, rows: Int) -> Int:
    """Start a unit of so many rows, none of which was seen; returns the mask of its buckets."""
    buckets = 64
    while buckets < 2 * rows and buckets < SEEN_BUCKETS:
        buckets *= 2
    arena.seen_rows[:buckets] = NOWHERE
    return buckets - 1


@inner
def gather(query: Query, arena: Arena, low: Int, high: Int, unit: Unit) -> tuple[Int, Int, Int]:
    """Choose rows for a superblock from `slots[low:high]`, newest first, a row that was seen lately not again.

    Returns how far down it got, how many rows, and how many repeats. What may miss the cache is read in loops that do
    nothing else, so that many reads are under way at once.
    """
    rows: Int = 0
    repeats: Int = 0
    bottom = max(low, high - len(arena.places))
    for at in range(bottom, high):
        arena.looked_up[at - bottom] = query.row_of_slot[query.slots[at]]
    for at in range(high - 1, bottom - 1, -1):
        row = arena.looked_up[at - bottom]
        if row == 0 or not (len(query.allowed) == 0 or query.allowed[at]):
            continue
        bucket = np.int64(row * np.uint32(0x9E3779B1) >> np.uint32(12)) & unit.mask  # Fibonacci hashing
        place = at - unit.bottom
        arena.older[place] = NOWHERE
        if arena.seen_rows[bucket] == row:
            arena.older[arena.seen_last[bucket]] = place
            repeats += 1
        else:
            arena.seen_rows[bucket] = row
            arena.numbers[rows] = row
            arena.places[rows] = at - unit.start
            arena.slots[rows] = query.slots[at]
            rows += 1
        arena.seen_last[bucket] = place
    for lane in range(rows):
        arena.inv_norms[lane] = query.inv_norms[arena.numbers[lane]]
    return bottom, rows, repeats


@inner
def gather_recent(query: Query, arena: Arena, low: Int, high: Int) -> Int:
    """Choose the newest rows of `slots[low:high]`, absent ones as row 0; returns how many."""
    rows = min(high - low, len(arena.places))
    for place in range(rows):
        row = query.row_of_slot[query.slots[high - 1 - place]]
        arena.numbers[place] = row
        arena.places[place] = place
        arena.inv_norms[place] = query.inv_norms[row]
    return rows


@inner
def bias_of(query: Query, candidate: Int) -> Int:
    """What a candidate's sums start at where rows are stored with +128."""
    total = np.int64(0)
    if is_integer(query.marker):
        for component in query.vectors[candidate]:
            total += component
    return -128 * total
