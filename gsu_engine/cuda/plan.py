"""How a batch becomes work for the device: which items there are, how large samples and lists are.

The threshold of a candidate is guessed (see `kernels/threshold.cuh`). Of the K best rows of a window of L about
`lam = K * S / L` lie in a sample of S; their number is nearly Poisson, so with `rank = lam + 6 sqrt(lam) + 4` all but
about one in a million samples have fewer than `rank` of them, and the rank-th best of the sample lies below the K-th
best of the window. About `rank * L / S` rows are hits then. Where the guess fails, the third kernel scans.

Short windows may be taken whole instead: every score is listed, [C, L] keys that stay in the second-level cache, and
the third kernel selects from them. Up to where that pays is measured: see `ways`.

What it costs: with L = 100 000 and K = 50 the sample is 4 % of the rows, and about 300 of them are hits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.cuda.layout import PAIR
from muse_stream.gsu_engine.kernels.residents import PAGE

TILE = 128  # rows; ROWS_PER_TILE of kernels/tiles.cuh
GROUP = 64  # candidates of a warp
GROUPS_MOST = 8  # warps of a block
SAMPLE_MOST = 4_096  # rows
SAMPLE_TILES = 4  # of an item of the first kernel
STEP_BITS = 16
MAXIMA = 256
BEST_IN_SAMPLE_MOST = 48  # of the K best: then `rank` is 94 at most, and there are 96 maxima or more
ALL_ROWS_TO = 256  # windows of so many rows, or of 4.3 K, are taken whole: a sample would not spare anything
WAVES = 4  # items that a block takes, where there is work enough
TILES_LEAST, TILES_MOST = 8, 64  # of an item then: what it costs to begin one is about two tiles
BLOCKS_PER_MULTIPROCESSOR = 2  # what registers and shared memory allow, by launch_bounds of kernels/search.cu
ROOM_LEAST = 1_024  # hits listed per candidate


@dataclass(frozen=True, slots=True)
class Plan:
    """What the kernels are told.

    Attributes:
        pairs: `[P] layout.PAIR`.
        sample_items: Items of the first kernel.
        filter_items: Items of the second.
        candidate_tiles: Of all pairs.

    """

    pairs: NDArray[Any]
    sample_items: int
    filter_items: int
    candidate_tiles: int


@dataclass(frozen=True, slots=True)
class Lists:
    """Sizes that follow from K, and from how long windows are taken whole.

    Attributes:
        k: Results per candidate.
        whole_to: Windows of so many rows are taken whole: all their scores are listed, and nothing is sampled.
        room: Hits listed per candidate; what a window that is taken whole may have.
        most_kept: Keys that are sorted: a power of two of at least 5/4 K, so that a cut is found in a few steps.

    """

    k: int
    whole_to: int
    room: int
    most_kept: int

    @classmethod
    def of(cls, k: int, rows: int = 0) -> "Lists":
        """For K results; windows of so many rows are to be taken whole, and shorter ones that a sample does not pay."""
        whole_to = max(ALL_ROWS_TO, 43 * k // 10, power_of_two(rows) if rows else 0)
        return cls(k, whole_to, max(ROOM_LEAST, 5 * k, whole_to), 1 << max((5 * k + 3) // 4 - 1, 1).bit_length())


def power_of_two(least: int) -> int:
    """The next one from `least` on."""
    return 1 << max(least - 1, 0).bit_length()


def plan(  # noqa: PLR0917 - columns of the pairs
    starts: I64, stops: I64, bounds: I64, records: I64, ring: int, allowed_at: I64, lists: Lists, multiprocessors: int
) -> Plan:
    """Plan a search.

    Args:
        starts: `[P] int64` first positions of the windows.
        stops: `[P] int64` their ends.
        bounds: `[P+1] int64` the candidates of pair p are `bounds[p]:bounds[p+1]`.
        records: `[P] int64` the users' records in the page table.
        ring: Entries of a record.
        allowed_at: `[P] int64` byte at which each pair's bitmap begins, -1 = none.
        lists: K, and which windows are taken whole.
        multiprocessors: Of the device.

    """
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
