"""The search: blocks of rows against tiles of candidates, a limit per candidate, survivors, the K best.

Rows are taken from the newest to the oldest. Once K rows are kept, a row that only equals the worst of them is older
than they are and loses, so "greater than" decides everything. What a tile compares is the sum times the row's inverse
norm; `limit_of` turns the score to beat into the exact bound on that product, so a tile lets through what belongs in
and nothing else. A list that is nearly full is cut to its K best, which raises the limit.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.kernels.blocks import (
    Arena,
    Query,
    Unit,
    bias_of,
    block_bytes,
    forget,
    gather,
    pack,
)
from muse_stream.gsu_engine.kernels.forms import CANDIDATES, SOME, WORD_BYTES, cell_bytes_of, is_integer, rows_of
from muse_stream.gsu_engine.kernels.jit import Int, Real, inner, pasted
from muse_stream.gsu_engine.kernels.select import BEYOND, tighten
from muse_stream.gsu_engine.kernels.shares import FIRST, HIGH, LAST, LOW, PAIR
from muse_stream.gsu_engine.kernels.tile import tile_many, tile_one, tile_some

SLACK = 4  # a list may keep a quarter more than K while rows are still to come


@inner
def limit_of(beat: Real, inv_norm: Real) -> Real:
    """The largest float32 whose product with `inv_norm` is not above `beat`.

    Products are monotonic, so a row's score is above `beat` exactly when its own product is above this.
    """
    if beat == 0:
        return beat  # no product lies between 0 and the smallest inverse norm: any bound there is as good
    limit = np.float32(beat / inv_norm)
    while limit * inv_norm > beat:
        limit = np.nextafter(limit, np.float32(-np.inf))
    while np.nextafter(limit, np.float32(np.inf)) * inv_norm <= beat:
        limit = np.nextafter(limit, np.float32(np.inf))
    return limit


class Rows(NamedTuple):
    """Blocks to scan, newest first, and what lies beside them: the arena's own, or those of a user's packed rows."""

    blocks: Int  # address of the first
    norms: Int  # address of its inverse norms
    places: Int
    slots: Int
    count: Int
    shift: Int  # place + shift = index in the window
    length: Int  # of the window


@inner
def rows_at(rows: Rows, number: Int, lanes: Int, size: Int) -> Rows:
    """The same from block `number` on; a block has `lanes` rows and `size` bytes."""
    beside = number * lanes * 4
    return Rows(
        rows.blocks + number * size,
        rows.norms + beside,
        rows.places + beside,
        rows.slots + beside,
        rows.count - number,
        rows.shift,
        rows.length,
    )


@pasted
def run_tile(query: Query, arena: Arena, rows: Rows, own: Int, candidate: Int, group: Int) -> Int:
    """The first block of `rows` against `group` candidates from `candidate` on, whose lists are those from `own` on.

    Returns the length of the longest list if something was added, else 0.
    """
    width, cell = query.rows.shape[1], cell_bytes_of(query.marker)
    vectors = query.vectors.ctypes.data if is_integer(query.marker) else query.floats.ctypes.data
    room = arena.scores.shape[1] * 4  # bytes
    arguments = (
        rows.blocks,
        rows.norms,
        rows.places,
        rows.slots,
        rows.shift,
        rows.length,
        vectors + candidate * width * cell,
        width * cell,
        width * cell // WORD_BYTES,
        arena.biases.ctypes.data + own * 4,
        arena.limits.ctypes.data + own * 4,
        query.candidate_inv_norms.ctypes.data + candidate * 4,
        query.excluded.ctypes.data + candidate * 4,
        arena.scores.ctypes.data + own * room,
        arena.indices.ctypes.data + own * room,
        room,
        arena.counts.ctypes.data + own * 8,
    )
    if group == CANDIDATES:
        return tile_many(query.marker, *arguments)
    if group == SOME:
        return tile_some(query.marker, *arguments)
    return tile_one(query.marker, *arguments)


@inner
def group_of(left: Int) -> Int:
    """How many candidates the next tile takes."""
    if left >= CANDIDATES:
        return CANDIDATES
    return SOME if left >= SOME else 1


@pasted
def scan_group(query: Query, arena: Arena, rows: Rows, own: Int, candidate: Int, group: Int, k: Int) -> None:
    """All blocks of `rows` against `group` candidates from `candidate` on: `CANDIDATES`, `SOME` or one."""
    lanes, size = rows_of(query.marker), block_bytes(query)
    full = arena.scores.shape[1] - 2 * lanes  # a tile may add a block's rows, and stores whole vectors
    for number in range(rows.count):
        if run_tile(query, arena, rows_at(rows, number, lanes, size), own, candidate, group) <= full:
            continue
        for j in range(own, own + group):
            count = arena.counts[j]
            if count > full:
                wanted = (k, k + k // SLACK)
                kept, beat = tighten(query.marker, arena.scores[j], arena.indices[j], count, wanted, arena.cuts[j])
                arena.counts[j], arena.cuts[j] = kept, beat
                arena.limits[j] = limit_of(beat, query.candidate_inv_norms[candidate + j - own])


@pasted
def scan_rows(query: Query, arena: Arena, rows: Rows, base: Int, candidates: Int, k: Int) -> None:
    """`rows` against the candidates from `base` on."""
    own = 0
    while own < candidates:
        group = group_of(candidates - own)
        scan_group(query, arena, rows, own, base + own, group, k)
        own += group


@inner
def scan_gathered(query: Query, arena: Arena, unit: I64, base: Int, candidates: Int, k: Int) -> Int:
    """Rows `slots[low:high]`, gathered a superblock at a time; returns how many were repeats."""
    low, high = unit[LOW], unit[HIGH]
    start, stop = query.offsets[unit[PAIR]], query.offsets[unit[PAIR] + 1]
    beside = arena.inv_norms.ctypes.data, arena.places.ctypes.data, arena.slots.ctypes.data
    place, repeats = Unit(start, low, forget(arena, high - low)), 0
    while high > low:
        high, count, repeated = gather(query, arena, low, high, place)
        repeats += repeated
        blocks = pack(query, arena, count)
        rows = Rows(arena.blocks.ctypes.data, *beside, blocks, 0, stop - start)
        scan_rows(query, arena, rows, base, candidates, k)
    return repeats


@inner
def scan_packed(query: Query, arena: Arena, unit: I64, base: Int, candidates: Int, k: Int) -> None:
    """Rows `low:high` of the pair's packed ones, a superblock at a time; `low` is the first of a block."""
    lanes, size = rows_of(query.marker), block_bytes(query)
    blocks, norms, places, slots, shift, length, _, _ = query.packed[unit[PAIR]]
    most = len(arena.places) // lanes
    first, last = unit[LOW] // lanes, (unit[HIGH] + lanes - 1) // lanes
    while last > first:
        count, beside = min(most, last - first), last * lanes * 4
        rows = Rows(blocks - last * size, norms - beside, places - beside, slots - beside, count, shift, length)
        scan_rows(query, arena, rows, base, candidates, k)
        last -= count


@inner
def start_lists(query: Query, arena: Arena, base: Int, candidates: Int) -> None:
    """Empty lists, which anything beats; nothing beats that of a candidate without a vector."""
    for own in range(candidates):
        arena.counts[own] = 0
        arena.cuts[own] = -BEYOND
        arena.limits[own] = -np.inf if query.candidate_inv_norms[base + own] > 0 else np.inf
        arena.biases[own] = bias_of(query, base + own)


@inner
def scan(query: Query, arena: Arena, unit: I64, k: Int) -> Int:
    """A unit's rows against its candidates: leaves their best in the lists, unsorted; returns how many were repeats."""
    base, candidates = query.bounds[unit[PAIR]] + unit[FIRST], unit[LAST] - unit[FIRST]
    start_lists(query, arena, base, candidates)
    if query.packed[unit[PAIR], 0] != 0:
        scan_packed(query, arena, unit, base, candidates, k)
        return np.int64(0)
    return scan_gathered(query, arena, unit, base, candidates, k)
