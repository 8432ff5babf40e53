"""A search's work list for a device, pair by pair: what NumPy would do in some eighty calls, longer than the search.

What the numbers mean is said in `cuda.plan` and, field by field, in `cuda/kernels/structs.cuh`.
"""

from typing import Any, NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.kernels.jit import Int, inner, kernel
from muse_stream.gsu_engine.kernels.residents import PAGE

TILE = 128  # rows; ROWS_PER_TILE of kernels/tiles.cuh
GROUP = 64  # candidates of a warp
GROUPS_MOST = 8  # warps of a block
SAMPLE_MOST = 4_096  # rows
SAMPLE_TILES = 4  # of an item of the first kernel
STEP_BITS = 16
BEST_IN_SAMPLE_MOST = 48  # of the K best: then `rank` is 94 at most, and there are 96 maxima or more
WAVES = 4  # items that a block takes, where there is work enough
TILES_LEAST, TILES_MOST = 8, 64  # of an item then: what it costs to begin one is about two tiles
BLOCKS_PER_MULTIPROCESSOR = 2  # what registers and shared memory allow, by launch_bounds of kernels/search.cu
SAMPLE_ITEMS, FILTER_ITEMS, CANDIDATE_TILES = range(3)  # of `counts`


class Windows(NamedTuple):
    """The pairs, one entry each; `bounds` has one more."""

    starts: I64
    stops: I64
    bounds: I64
    records: I64
    allowed_at: I64


@kernel
def plan(windows: Windows, ring: Int, k: Int, whole_to: Int, multiprocessors: Int, pairs: Any, counts: I64) -> None:  # noqa: ANN401, PLR0917
    """Fill `pairs` (`[P] layout.PAIR`), and `counts` (`[3] int64`) with the totals."""
    all_tiles = 0
    for p in range(len(pairs)):
        pair, start, length = pairs[p], windows.starts[p], windows.stops[p] - windows.starts[p]
        pair.allowed_at = windows.allowed_at[p]
        pair.table_at = windows.records[p] * ring
        pair.first_page = start // PAGE % ring
        pair.head = start % PAGE
        pair.length = length
        pair.first_candidate = windows.bounds[p]
        pair.candidates = windows.bounds[p + 1] - windows.bounds[p]
        pair.groups = groups_of(pair.candidates)
        pair.candidate_tiles = parts(pair.candidates, pair.groups * GROUP)
        pair.tiles = parts(length, TILE)
        all_tiles += pair.tiles * np.int64(pair.candidate_tiles)
        sample(pair, length, k, whole_to)
    per_item = tiles_per_item(all_tiles, BLOCKS_PER_MULTIPROCESSOR * multiprocessors)
    counts[:] = 0
    for p in range(len(pairs)):
        pair = pairs[p]
        pair.tiles_per_item = per_item
        pair.first_item, pair.first_sample_item = counts[FILTER_ITEMS], counts[SAMPLE_ITEMS]
        pair.first_done = counts[CANDIDATE_TILES]
        counts[FILTER_ITEMS] += pair.candidate_tiles * parts(pair.tiles, per_item)
        counts[SAMPLE_ITEMS] += pair.candidate_tiles * np.int64(pair.sample_parts)
        counts[CANDIDATE_TILES] += pair.candidate_tiles


@inner
def sample(pair: Any, length: Int, k: Int, whole_to: Int) -> None:  # noqa: ANN401
    """Size, cut and rank of a pair's sample."""
    sampled = 0
    if length > whole_to:
        sampled = min(length, SAMPLE_MOST, BEST_IN_SAMPLE_MOST * length // k)
    used = max(sampled, 1)
    tiles = parts(used, TILE)
    inside = k * used / max(length, 1)  # lam of `cuda.plan`
    rank = k if used == length else min(np.int64(np.ceil(inside + 6 * np.sqrt(inside) + 4)), k)
    pair.sampled = sampled
    pair.sample_step = (length << STEP_BITS) // used
    pair.sample_parts = parts(tiles, SAMPLE_TILES) if sampled > 0 else 0
    pair.span = max(tiles // 2, 1)
    pair.spans = parts(min(tiles, SAMPLE_TILES) * 2 * np.int64(pair.groups), np.int64(pair.span))
    pair.rank = rank


@inner
def groups_of(candidates: Int) -> Int:
    """The least power of two of groups that holds all candidates, up to the warps of a block."""
    groups = 1
    while groups < GROUPS_MOST and groups * GROUP < candidates:
        groups *= 2
    return groups


@inner
def tiles_per_item(tiles: Int, blocks: Int) -> Int:
    """One item per block where there is little to do, else a few per block, so that all end at about the same time."""
    if tiles <= blocks * TILES_LEAST:
        return max(parts(tiles, blocks), 1)
    return min(max(tiles // (blocks * WAVES), TILES_LEAST), TILES_MOST)


@inner
def parts(whole: Int, part: Int) -> Int:
    """Quotient, rounded up."""
    return (whole + part - 1) // part
