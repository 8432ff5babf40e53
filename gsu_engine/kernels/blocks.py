"""Gathering rows of a history into the blocks that a tile reads.

Layout: see `kernels.tile`. Rows without a vector and rows that are not allowed never get into a block, so the product
is spent on rows that can be retrieved. A block's last rows may be padding: zero vectors with inverse norm 0.
"""

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, I32, I64, U32, U64, Flags
from muse_stream.gsu_engine.kernels.jit import Int, inner
from muse_stream.gsu_engine.kernels.tile import FLOAT32, INT8

ROWS_INT8 = INT8.rows
ROWS_FLOAT32 = FLOAT32.rows
BIASED = np.uint32(0x80808080)  # +128 on four int8 at once


class Query(NamedTuple):
    """What a search reads: see `contract.Work`, and candidates in the forms that tiles take."""

    slots: U32  # [N]
    offsets: I64  # [P+1]
    bounds: I64  # [P+1]
    allowed: Flags  # [N], or [0] = all
    row_of_slot: U32
    words: U32  # [rows, d/4] the int8 rows, four to a word
    rows: I8  # [rows, d]
    inv_norms: F32
    bytes: I8  # [T, d] candidates
    floats: F32  # [T, d], or [0, d] where the int8 tile is used
    bias: I32  # [T] what the int8 tile adds to a sum
    candidate_inv_norms: F32  # [T]
    integer: bool


class Arena(NamedTuple):
    """What one thread writes."""

    words: U32  # blocks for the int8 tile
    floats: F32  # blocks for the float32 tile, the same memory
    inv_norms: F32  # [rows of a superblock]
    places: U32  # [rows of a superblock] index of the row in its window
    smallest: F32  # [blocks] inverse norms in it
    largest: F32
    limits: I32  # [CANDIDATES] thresholds of a tile
    float_limits: F32
    sums: I32  # results of a tile
    float_sums: F32  # the same memory
    masks: U64  # the same memory
    keys: U64  # [candidates, room]
    counts: I64  # [candidates]
    beat: F32  # [candidates] score that a row must beat


@inner
def write_row(query: Query, arena: Arena, row: Int, place: Int) -> None:
    """Copy one vector into the block that place `place` belongs to."""
    if query.integer:
        steps = query.words.shape[1]
        base = place // ROWS_INT8 * steps * ROWS_INT8 + place % ROWS_INT8
        for step in range(steps):
            arena.words[base + step * ROWS_INT8] = query.words[row, step] ^ BIASED
    else:
        steps = query.rows.shape[1]
        base = place // ROWS_FLOAT32 * steps * ROWS_FLOAT32 + place % ROWS_FLOAT32
        for step in range(steps):
            arena.floats[base + step * ROWS_FLOAT32] = query.rows[row, step]


@inner
def pad(query: Query, arena: Arena, rows: Int) -> Int:
    """Fill the last block up with row 0, which is all zero and never retrieved; returns the number of blocks."""
    size = ROWS_INT8 if query.integer else ROWS_FLOAT32
    blocks = (rows + size - 1) // size
    for place in range(rows, blocks * size):
        write_row(query, arena, 0, place)
        arena.inv_norms[place] = 0
    return blocks


@inner
def gather(query: Query, arena: Arena, low: Int, high: Int, base: Int) -> tuple[Int, Int]:
    """Fill a superblock from `slots[low:high]`, newest first; returns how far down it got, and the number of rows."""
    room = len(arena.places)
    at, rows = high, 0
    while at > low and rows < room:
        at -= 1
        row = query.row_of_slot[query.slots[at]]
        if row != 0 and (len(query.allowed) == 0 or query.allowed[at]):
            write_row(query, arena, row, rows)
            arena.inv_norms[rows] = query.inv_norms[row]
            arena.places[rows] = at - base
            rows += 1
    return at, rows


@inner
def gather_recent(query: Query, arena: Arena, low: Int, high: Int) -> Int:
    """Fill a superblock with the newest rows of `slots[low:high]`, absent ones as zeros; returns the number of rows."""
    rows = min(high - low, len(arena.places))
    for place in range(rows):
        row = query.row_of_slot[query.slots[high - 1 - place]]
        write_row(query, arena, row, place)
        arena.inv_norms[place] = query.inv_norms[row]
    return rows


@inner
def bound_norms(arena: Arena, rows: Int, size: Int) -> None:
    """Smallest and largest inverse norm of each block."""
    for block in range((rows + size - 1) // size):
        smallest = largest = arena.inv_norms[block * size]
        for place in range(block * size, min((block + 1) * size, rows)):
            smallest = min(smallest, arena.inv_norms[place])
            largest = max(largest, arena.inv_norms[place])
        arena.smallest[block], arena.largest[block] = smallest, largest
