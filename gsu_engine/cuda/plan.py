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

from muse_stream.gsu_engine.cuda.layout import PAIR
from muse_stream.gsu_engine.kernels import planning
from muse_stream.gsu_engine.kernels.planning import Windows

MAXIMA = 256
ALL_ROWS_TO = 256  # windows of so many rows, or of 4.3 K, are taken whole: a sample would not spare anything
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


def plan(windows: Windows, ring: int, lists: Lists, multiprocessors: int) -> Plan:
    """Plan a search.

    Args:
        windows: The pairs: `[P] int64` first positions `starts` and ends `stops` of their windows, `[P+1] int64`
            `bounds` (the candidates of pair p are `bounds[p]:bounds[p+1]`), `[P] int64` their users' `records` in the
            page table, and `[P] int64` `allowed_at`, the byte at which each pair's bitmap begins, -1 = none.
        ring: Entries of a record.
        lists: K, and which windows are taken whole.
        multiprocessors: Of the device.

    """
    pairs, counts = np.zeros(len(windows.starts), PAIR), np.empty(3, np.int64)
    planning.plan(windows, ring, lists.k, lists.whole_to, multiprocessors, pairs, counts)
    sample_items, filter_items, candidate_tiles = counts.tolist()
    return Plan(pairs, sample_items, filter_items, candidate_tiles)
