"""A search's plan in array operations: what `plan.plan` compiles, for comparison."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.cuda.layout import PAIR
from muse_stream.gsu_engine.cuda.plan import Lists, Plan
from muse_stream.gsu_engine.kernels.planning import (
    BEST_IN_SAMPLE_MOST,
    BLOCKS_PER_MULTIPROCESSOR,
    GROUP,
    GROUPS_MOST,
    SAMPLE_MOST,
    SAMPLE_TILES,
    STEP_BITS,
    TILE,
    TILES_LEAST,
    TILES_MOST,
    WAVES,
)
from muse_stream.gsu_engine.kernels.residents import PAGE


def plan(  # noqa: PLR0917 - columns of the pairs
    starts: I64, stops: I64, bounds: I64, records: I64, ring: int, allowed_at: I64, lists: Lists, multiprocessors: int
) -> Plan:
    """As `plan.plan`."""
    pairs = np.zeros(len(starts), PAIR)
    pairs["allowed_at"] = allowed_at
    pairs["table_at"] = records * ring
    pairs["first_page"] = starts // PAGE % ring
    pairs["head"] = starts % PAGE
    pairs["length"] = stops - starts
    pairs["first_candidate"] = bounds[:-1]
    pairs["candidates"] = np.diff(bounds)
    pairs["groups"] = _groups(pairs["candidates"])
    pairs["candidate_tiles"] = _parts(pairs["candidates"], pairs["groups"] * GROUP)
    pairs["tiles"] = _parts(pairs["length"], TILE)
    pairs["tiles_per_item"] = _tiles_per_item(int((pairs["tiles"] * pairs["candidate_tiles"]).sum()), multiprocessors)
    items = pairs["candidate_tiles"] * _parts(pairs["tiles"], pairs["tiles_per_item"])
    pairs["first_item"], filter_items = _firsts(items)
    _sample(pairs, lists)
    pairs["first_sample_item"], sample_items = _firsts(pairs["candidate_tiles"] * pairs["sample_parts"])
    pairs["first_done"], candidate_tiles = _firsts(pairs["candidate_tiles"])
    return Plan(pairs, sample_items, filter_items, candidate_tiles)


def _sample(pairs: NDArray[Any], lists: Lists) -> None:
    """Size, cut and rank of each pair's sample."""
    k = lists.k
    lengths = pairs["length"].astype(np.int64)
    sampled = np.minimum(np.minimum(lengths, SAMPLE_MOST), BEST_IN_SAMPLE_MOST * lengths // k)
    sampled[lengths <= lists.whole_to] = 0
    used = np.maximum(sampled, 1)
    tiles = _parts(used, TILE)
    span = np.maximum(tiles // 2, 1)
    inside = k * used / np.maximum(lengths, 1)  # lam of the module's docstring
    rank = np.where(used == lengths, k, np.ceil(inside + 6 * np.sqrt(inside) + 4))
    pairs["sampled"] = sampled
    pairs["sample_step"] = (lengths << STEP_BITS) // used
    pairs["sample_parts"] = np.where(sampled > 0, _parts(tiles, SAMPLE_TILES), 0)
    pairs["span"] = span
    pairs["spans"] = _parts(np.minimum(tiles, SAMPLE_TILES) * 2 * pairs["groups"], span)
    pairs["rank"] = np.minimum(rank, k)


def _groups(candidates: NDArray[Any]) -> NDArray[Any]:
    """The least power of two that holds all candidates, up to the warps of a block."""
    wanted = np.maximum(_parts(candidates, GROUP), 1)
    groups: NDArray[Any] = np.minimum(1 << np.ceil(np.log2(wanted)).astype(np.int64), GROUPS_MOST)
    return groups


def _tiles_per_item(tiles: int, multiprocessors: int) -> int:
    """One item per block where there is little to do, else a few per block, so that all end at about the same time."""
    blocks = BLOCKS_PER_MULTIPROCESSOR * multiprocessors
    if tiles <= blocks * TILES_LEAST:
        return max(-(-tiles // blocks), 1)
    return min(max(tiles // (blocks * WAVES), TILES_LEAST), TILES_MOST)


def _firsts(counts: NDArray[Any]) -> tuple[I64, int]:
    """What comes before each, and the total."""
    ends: I64 = np.cumsum(counts, dtype=np.int64)
    return ends - counts, int(ends[-1]) if len(ends) else 0


def _parts(whole: NDArray[Any], part: NDArray[Any] | int) -> NDArray[Any]:
    """Quotient, rounded up."""
    quotient: NDArray[Any] = -(-whole // part)
    return quotient
