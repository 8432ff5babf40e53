"""Gathering rows of a history into the blocks that a tile reads.

Layout: see `kernels.forms`. Rows without a vector and rows that are not allowed never get into a block, so the product
is spent on rows that can be retrieved. A block's last rows may be padding: row 0, nowhere in a window.
"""

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, I32, I64, U32, U64, Flags
from muse_stream.gsu_engine.kernels.forms import Marker, cell_bytes_of, is_integer, lanes_of, rows_of
from muse_stream.gsu_engine.kernels.jit import Int, inner
from muse_stream.gsu_engine.kernels.transpose import transpose

# Ends of blocks, inverse norms, places and slots; place -> index; length; first row and end of the rows. 0 = gather.
PACKED_COLUMNS = 8
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
    numbers: U32  # [rows of a superblock] row in the table
    places: U32  # [rows of a superblock] index in the window
    slots: U32  # [rows of a superblock]
    inv_norms: F32  # [rows of a superblock]
    biases: I32  # [candidates] what a candidate's sums start at
    limits: F32  # [candidates] what a product must exceed, see `scan.limit_of`
    cuts: F32  # [candidates] what a score must exceed
    scores: F32  # [candidates, room] lists
    indices: U32  # [candidates, room]
    counts: I64  # [candidates] lengths of the lists
    keys: U64  # [room]


@inner
def block_bytes(query: Query) -> Int:
    """Bytes of a block."""
    return rows_of(query.marker) * query.rows.shape[1] * cell_bytes_of(query.marker)


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
    for block in range(blocks):
        out = arena.blocks.ctypes.data + block * block_bytes(query)
        for lane in range(0, size, lanes):
            for byte in range(0, width, 4 * lanes):
                transpose(query.marker, table + byte, numbers + lane * 4, width, out + byte * column + lane * 4)
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
        slot = query.slots[at]
        row = query.row_of_slot[slot]
        arena.numbers[rows] = row
        arena.places[rows] = at - base
        arena.slots[rows] = slot
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
