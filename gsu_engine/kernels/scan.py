"""The search: blocks of rows against tiles of candidates, a limit per candidate, survivors, the K best.

Rows are taken from the newest to the oldest. Once K rows are kept, a row that only equals the worst of them is older
than they are and loses, so "greater than" decides everything. What a tile compares is the sum times the row's inverse
norm; `limit_of` turns the score to beat into the exact bound on that product, so a tile lets through what belongs in
and nothing else. A list that is nearly full is cut to its K best, which raises the limit.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I32, I64, U64, Flags
from muse_stream.gsu_engine.kernels.blocks import (
    NOWHERE,
    Arena,
    Query,
    Unit,
    bias_of,
    block_bytes,
    forget,
    gather,
    gather_recent,
    pack,
)
from muse_stream.gsu_engine.kernels.forms import CANDIDATES, SOME, WORD_BYTES, cell_bytes_of, is_integer, rows_of
from muse_stream.gsu_engine.kernels.jit import Int, Real, inner, kernel, pasted
from muse_stream.gsu_engine.kernels.select import BEYOND, best_of, sort_best_first, tighten
from muse_stream.gsu_engine.kernels.shares import COLUMNS, FIRST, HIGH, LAST, LOW, NEWEST, PAIR, PART, Extents, cut
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


@inner
def expand(arena: Arena, uniques: U64, shift: Int, out: U64) -> Int:
    """Rows at all their places: the best of them into `out`, best first; returns how many. Place + shift = index.

    `uniques` are the best rows at their newest places, best first. As many of them as results are wanted are enough:
    each that is better has at least that one place.
    """
    filled = 0
    for unique in uniques:
        place = np.int64(unique & np.uint64(NOWHERE)) - shift
        key = unique
        while place != NOWHERE and (filled < len(out) or key > out[filled - 1]):
            at = min(filled, len(out) - 1)
            while at > 0 and out[at - 1] < key:
                out[at] = out[at - 1]
                at -= 1
            out[at] = key
            filled = min(filled + 1, len(out))
            place = np.int64(arena.older[place])
            key = (unique >> np.uint64(32) << np.uint64(32)) | np.uint64(place + shift)
    return filled


@inner
def keep_parts(query: Query, arena: Arena, candidates: Int, k: Int, shift: Int, parts: U64) -> None:
    """Sort each candidate's best into its row of `parts`, 0 behind the last; `shift` < 0: no row has several places."""
    for own in range(candidates):
        scores, indices, count = arena.scores[own], arena.indices[own], arena.counts[own]
        if count > k:
            count, _ = tighten(query.marker, scores, indices, count, (k, k), arena.cuts[own])
        if shift < 0:
            sort_best_first(query.marker, scores, indices, count, arena.keys, arena.ranks, parts[own])
        else:
            sort_best_first(query.marker, scores, indices, count, arena.keys, arena.ranks, arena.sorted)
            count = expand(arena, arena.sorted[:count], shift, parts[own])
        parts[own, count:] = 0


@inner
def recent(query: Query, arena: Arena, pair: Int, base: Int, last: Int, scores: F32, present: Flags) -> None:
    """Scores of a pair's newest rows for the candidates `base:last`, newest first; absent rows stay 0 and False."""
    low, high = query.offsets[pair], query.offsets[pair + 1]
    lanes, size = rows_of(query.marker), block_bytes(query)
    wanted, done = min(scores.shape[1], high - low), 0
    beside = arena.inv_norms.ctypes.data, arena.places.ctypes.data, arena.slots.ctypes.data
    arena.slots[:] = NOWHERE  # nobody is excluded from the recent scores
    while done < wanted:
        count = min(gather_recent(query, arena, low, high - done), wanted - done)
        blocks = pack(query, arena, count)
        rows = Rows(arena.blocks.ctypes.data, *beside, blocks, 0, count)
        for candidate in range(base, last):
            if query.candidate_inv_norms[candidate] == 0:
                continue
            arena.limits[0], arena.biases[0] = -np.inf, bias_of(query, candidate)
            for number in range(blocks):
                arena.counts[0] = 0
                run_tile(query, arena, rows_at(rows, number, lanes, size), 0, candidate, 1)
                for i in range(arena.counts[0]):
                    place = np.int64(arena.indices[0, i])
                    if arena.inv_norms[place] > 0:
                        scores[candidate, done + place] = arena.scores[0, i]
                        present[candidate, done + place] = True
        done += count


@inner
def run(query: Query, arena: Arena, units: I64, k: Int, parts: U64, scores: F32, present: Flags) -> None:
    """Units, one after the other, into the parts and the recent scores."""
    for unit in units:
        candidates = unit[LAST] - unit[FIRST]
        repeats = scan(query, arena, unit, k)
        shift = unit[LOW] - query.offsets[unit[PAIR]] if repeats > 0 else np.int64(-1)
        keep_parts(query, arena, candidates, k, shift, parts[unit[PART] : unit[PART] + candidates])
        if unit[NEWEST] and scores.shape[1] > 0:
            base, last = query.bounds[unit[PAIR]], query.bounds[unit[PAIR]] + unit[LAST]
            if unit[LAST] == query.searched[unit[PAIR]]:
                last = query.bounds[unit[PAIR] + 1]  # the pair's other candidates want recent scores alone
            recent(query, arena, unit[PAIR], base + unit[FIRST], last, scores, present)


@inner
def extents_of(query: Query, costs: tuple[Int, Int]) -> Extents:
    """Per pair the rows to scan: packed ones, or all to be gathered; `costs` of a gathered row, and of a packed one."""
    pairs = len(query.searched)
    lows, highs = query.offsets[:-1].copy(), query.offsets[1:].copy()
    cost, grains = np.full(pairs, costs[0]), np.ones(pairs, np.int64)
    for pair in range(pairs):
        if query.packed[pair, 0] != 0:
            lows[pair], highs[pair] = query.packed[pair, 6], query.packed[pair, 7]
            cost[pair], grains[pair] = costs[1], rows_of(query.marker)
    return Extents(lows, highs, cost, grains, query.searched, query.bounds[1:] - query.bounds[:-1])


@inner
def merge_units(
    parts: U64, units: I64, first_unit: I64, query: Query, starts: I64, scores: F32, positions: I64, counts: I32
) -> None:
    """Results of all pairs from the parts of their units `first_unit[p]:first_unit[p+1]`."""
    for pair in range(len(starts)):
        mine = units[first_unit[pair] : first_unit[pair + 1]]
        rows, heads = np.empty(len(mine), np.int64), np.empty(len(mine), np.int64)
        for candidate in range(query.searched[pair]):
            held = 0
            for unit in mine:
                if unit[FIRST] <= candidate < unit[LAST]:
                    rows[held] = unit[PART] + candidate - unit[FIRST]
                    held += 1
            row = query.bounds[pair] + candidate
            counts[row] = best_of(parts, rows[:held], heads, starts[pair], scores[row], positions[row])


@kernel
def plan(query: Query, costs: tuple[Int, Int], threads: Int, units: I64, ends: I64, first_unit: I64) -> Int:
    """Share a search out: see `shares.cut`."""
    return cut(extents_of(query, costs), threads, units, ends, first_unit)


@kernel
def run_units(query: Query, arena: Arena, units: I64, k: Int, parts: U64, scores: F32, present: Flags) -> None:
    """One thread's share: see `kernels.shares` for `units`."""
    run(query, arena, units, k, parts, scores, present)


@kernel
def merge(
    parts: U64, units: I64, first_unit: I64, query: Query, starts: I64, scores: F32, positions: I64, counts: I32
) -> None:
    """See `merge_units`."""
    merge_units(parts, units, first_unit, query, starts, scores, positions, counts)


@kernel
def search_alone(
    query: Query,
    arena: Arena,
    costs: tuple[Int, Int],
    starts: I64,
    k: Int,
    scores: F32,
    positions: I64,
    counts: I32,
    recent_scores: F32,
    present: Flags,
) -> None:
    """A whole search on the calling thread, in one call: for a small one, calls are most of the time."""
    pairs = len(starts)
    units, ends, first_unit = np.empty((pairs, COLUMNS), np.int64), np.empty(2, np.int64), np.empty(pairs + 1, np.int64)
    parts = np.empty((cut(extents_of(query, costs), 1, units, ends, first_unit), k), np.uint64)
    run(query, arena, units[: ends[1]], k, parts, recent_scores, present)
    merge_units(parts, units, first_unit, query, starts, scores, positions, counts)
