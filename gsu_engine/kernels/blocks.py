"""Gathering rows of a history into the blocks that a tile reads.

Layout: see `kernels.tile`. Rows without a vector and rows that are not allowed never get into a block, so the product
is spent on rows that can be retrieved. A block's last rows may be padding: row 0, nowhere in a window.
"""

from typing import NamedTuple

from muse_stream.gsu_engine.arrays import F32, I8, I32, I64, U32, U64, Flags
from muse_stream.gsu_engine.kernels.jit import Int, inner
from muse_stream.gsu_engine.kernels.tile import FLOAT32, INT8
from muse_stream.gsu_engine.kernels.transpose import transpose_float32, transpose_int8

NOWHERE = 2**32 - 1  # place of a lane that is nobody's: beyond any window
ROWS_INT8, INT8_LANES = INT8.rows, INT8.lanes
ROWS_FLOAT32, FLOAT32_LANES = FLOAT32.rows, FLOAT32.lanes


class Query(NamedTuple):
    """What a search reads: see `contract.Work`, and candidates in the forms that tiles take."""

    slots: U32  # [N]
    offsets: I64  # [P+1]
    bounds: I64  # [P+1]
    allowed: Flags  # [N], or [0] = all
    row_of_slot: U32
    rows: I8  # [rows, d]
    inv_norms: F32
    vectors: I8  # [T, d] candidates
    floats: F32  # [T, d], or [0, d] where the int8 tile is used
    bias: I32  # [T] what a sum of the int8 tile starts at
    candidate_inv_norms: F32  # [T]
    searched: I64  # [P] the first candidates of a pair: only these are searched for, all get their recent scores
    packed: I64  # [P, 5] addresses of blocks, inverse norms and places, place -> index, length; 0 = gather
    integer: bool


class Arena(NamedTuple):
    """What one thread writes."""

    blocks: F32  # the superblock; the int8 tile's bytes in the same memory
    numbers: U32  # [rows of a superblock] row in the table
    places: U32  # [rows of a superblock] index in the window
    inv_norms: F32  # [rows of a superblock]
    limits: F32  # [candidates] what a product must exceed, see `scan.limit_of`
    products: F32  # what a tile writes
    masks: U64  # the same memory
    keys: U64  # [candidates, room]
    counts: I64  # [candidates]


@inner
def pack(query: Query, arena: Arena, rows: Int) -> Int:
    """Copy rows `numbers[:rows]` of the table into blocks, the last one padded; returns the number of blocks."""
    size = ROWS_INT8 if query.integer else ROWS_FLOAT32
    blocks = (rows + size - 1) // size
    arena.numbers[rows : blocks * size] = 0
    arena.inv_norms[rows : blocks * size] = 0
    arena.places[rows : blocks * size] = NOWHERE
    table, numbers, width = query.rows.ctypes.data, arena.numbers.ctypes.data, query.rows.shape[1]
    for block in range(blocks):
        if query.integer:
            out = arena.blocks.ctypes.data + block * width * ROWS_INT8
            for lane in range(0, ROWS_INT8, INT8_LANES):
                for byte in range(0, width, 4 * INT8_LANES):
                    transpose_int8(table + byte, numbers + lane * 4, width, out + byte * ROWS_INT8 + lane * 4)
        else:
            out = arena.blocks.ctypes.data + block * width * ROWS_FLOAT32 * 4
            for lane in range(0, ROWS_FLOAT32, FLOAT32_LANES):
                for byte in range(0, width, 4 * FLOAT32_LANES):
                    transpose_float32(table + byte, numbers + lane * 4, width, out + (byte * ROWS_FLOAT32 + lane) * 4)
        numbers += size * 4
    return blocks


@inner
def gather(query: Query, arena: Arena, low: Int, high: Int, base: Int) -> tuple[Int, Int]:
    """Choose rows for a superblock from `slots[low:high]`, newest first; returns how far down it got, and how many."""
    at: Int = high
    rows: Int = 0
    room = len(arena.places)
    all_allowed = len(query.allowed) == 0
    while at > low and rows < room:
        at -= 1
        row = query.row_of_slot[query.slots[at]]
        arena.numbers[rows] = row
        arena.places[rows] = at - base
        arena.inv_norms[rows] = query.inv_norms[row]
        rows += row != 0 and (all_allowed or query.allowed[at])
    return at, rows


@inner
def gather_recent(query: Query, arena: Arena, low: Int, high: Int) -> Int:
    """Choose the newest rows of `slots[low:high]`, absent ones as row 0; returns how many."""
    rows = min(high - low, len(arena.places))
    for place in range(rows):
        row = query.row_of_slot[query.slots[high - 1 - place]]
        arena.numbers[place] = row
        arena.inv_norms[place] = query.inv_norms[row]
    return rows
