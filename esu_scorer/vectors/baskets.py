"""Which items were bought together: the pairs that vectors are learnt from and judged by.

A *basket* is a run of one user's purchases without a gap longer than `gap_ms`: 0 = one invoice (equal times). Within a
basket an item counts once.

Invariant: baskets are made of the purchases they are given and of nothing else. Cut the purchases by time first: what
was bought in the training span makes training pairs, what was bought later judges, and no basket spans both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]

PAIRS_MIN = 32
"""Fewer purchases than this with a companion teach nothing that would hold elsewhere, and measure nothing."""


@dataclass(frozen=True, eq=False, slots=True)
class Purchases:
    """Who bought what when, in any order: `[M] int64` users, rows of the items among all items, and times."""

    user: Int64
    row: Int64
    time_ms: Int64

    def __len__(self) -> int:
        return len(self.user)

    def cut(self, until_ms: int) -> tuple[Purchases, Purchases]:
        """Those before `until_ms`, and those from it on."""
        before = self.time_ms < until_ms
        return self._take(before), self._take(~before)

    def _take(self, rows: npt.NDArray[np.bool_]) -> Purchases:
        return Purchases(self.user[rows], self.row[rows], self.time_ms[rows])


@dataclass(frozen=True, eq=False, slots=True)
class Baskets:
    """Baskets of at least two different items, one after the other.

    Attributes:
        row: `[E] int64` item rows, ascending within a basket.
        basket: `[E] int64` number of the basket, rising.
        low: `[E] int64` where the entry's basket begins.
        size: `[E] int64` how many items it has.

    """

    row: Int64
    basket: Int64
    low: Int64
    size: Int64

    def __len__(self) -> int:
        return len(self.row)

    def draw(self, generator: np.random.Generator) -> tuple[Int64, Int64]:
        """For every entry its item and another one of its basket, each equally likely: two `[E] int64` of item rows."""
        entry = np.arange(len(self))
        step = generator.integers(1, self.size)
        return self.row, self.row[self.low + (entry - self.low + step) % self.size]

    def pairs(self, basket_low: int, basket_high: int) -> tuple[Int64, Int64]:
        """All ordered pairs of different items of the baskets `basket_low..basket_high-1`, with repeats."""
        entries = np.arange(*np.searchsorted(self.basket, [basket_low, basket_high]))
        others = self.size[entries] - 1
        left = np.repeat(entries, others)
        step = np.arange(len(left)) - np.repeat(np.cumsum(others) - others, others) + 1
        low = self.low[left]
        return self.row[left], self.row[low + (left - low + step) % self.size[left]]


def baskets(purchases: Purchases, *, gap_ms: int = 0) -> Baskets:
    """Baskets of purchases; one with a single item is left out.

    Raises:
        DataError: Fewer than `PAIRS_MIN` purchases have a companion.

    """
    order = np.lexsort((purchases.time_ms, purchases.user))
    user, time = purchases.user[order], purchases.time_ms[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (user[1:] != user[:-1]) | (time[1:] - time[:-1] > gap_ms)
    pair = np.unique(np.stack([np.cumsum(begins), purchases.row[order]], axis=1), axis=0)  # (E, 2)
    size = np.unique(pair[:, 0], return_counts=True)[1]
    kept = pair[np.repeat(size > 1, size)]
    if len(kept) < PAIRS_MIN:
        msg = (
            f"only {len(kept)} of {len(purchases)} purchases have another item in their basket, expected at least "
            f"{PAIRS_MIN}; send more purchases, or allow a longer gap within a basket"
        )
        raise DataError(msg)
    sizes = size[size > 1]
    low = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Baskets(kept[:, 1], np.repeat(np.arange(len(sizes)), sizes), low, np.repeat(sizes, sizes))
