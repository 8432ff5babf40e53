"""Which windows the engine is asked about for a block: each distinct one once, and what long ones share once.

A user's samples in a block often differ by a few behaviours at the ends of long windows. Such samples are asked about
in pieces: the rows that all of them share, together, and what each has beyond them. The K best of a window are the K
best of its pieces' K best, so nothing is lost; a piece `[shared stop, stop)` holds a window's newest R rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

SHARED_FROM = 4_096  # rows: reading so many takes the engine five times as long as a pair more costs
BEYOND = 4  # a window has at most a quarter as much beyond what is shared, at either end
OWN, SHARED, BEFORE = range(3)  # parts
PARTS = 3


@dataclass(frozen=True, slots=True)
class Pieces:
    """M pieces of the windows of N samples.

    Attributes:
        sample: `[M] int64`.
        part: `[M] int64` which of a sample's pieces: `OWN` to its window's end, `SHARED`, or `BEFORE` that.
        start: `[M] int64` first place.
        stop: `[M] int64` end.

    """

    sample: I64
    part: I64
    start: I64
    stop: I64


@dataclass(frozen=True, slots=True)
class Pairs:
    """The distinct (user, window) among M pieces, by user.

    Attributes:
        order: `[M] int64` the pieces, one pair's after the other's.
        bounds: `[P+1] int64` the pieces of pair p are `order[bounds[p]:bounds[p+1]]`.
        owner: `[P] int64` whose.
        start: `[P] int64`.
        stop: `[P] int64`.

    """

    order: I64
    bounds: I64
    owner: I64
    start: I64
    stop: I64

    @classmethod
    def of(cls, owner: I64, start: I64, stop: I64) -> Pairs:
        """Group pieces `[M]`."""
        order = np.lexsort((stop, start, owner))
        columns = [column[order] for column in (owner, start, stop)]
        first = np.flatnonzero(_changes(columns))
        owners, starts, stops = (column[first] for column in columns)
        return cls(order, np.append(first, len(order)), owners, starts, stops)

    def runs(self, history: I64, rows: int) -> Iterator[slice]:
        """Runs of pairs that together have at most `rows` in their windows and histories, or one pair each.

        Args:
            history: `[P] int64` lengths of the pairs' histories; a user's pairs share one.
            rows: Bound.

        """
        ends = np.cumsum(self.stop - self.start + np.where(_changes([self.owner]), history, 0))
        low = 0
        while low < len(ends):
            before = int(ends[low - 1]) if low else 0
            high = max(int(np.searchsorted(ends, before + rows, side="right")), low + 1)
            yield slice(low, high)
            low = high


def cut(owner: I64, start: I64, stop: I64, recent: int) -> Pieces:
    """Pieces of the windows `[start, stop)`, `[N] int64`, of these owners' histories."""
    shared_start, shared_stop = start.copy(), start.copy()
    for samples in _neighbours(owner, start, stop):
        for members, low, high in _clusters(samples, start, stop, recent):
            shared_start[members], shared_stop[members] = low, high
    cuts = np.flatnonzero(shared_start < shared_stop)
    heads = cuts[start[cuts] < shared_start[cuts]]
    every = np.arange(len(owner))
    return Pieces(
        np.concatenate((every, cuts, heads)),
        np.repeat((OWN, SHARED, BEFORE), (len(every), len(cuts), len(heads))),
        np.concatenate((shared_stop, shared_start[cuts], start[heads])),
        np.concatenate((stop, shared_stop[cuts], shared_start[heads])),
    )


def best_of_parts(scores: F32, places: I64) -> tuple[F32, I64]:
    """The K best of parts `[N, PARTS, K]`: highest score, then newest; 0 and -1 where there is none."""
    count, parts, k = places.shape
    flat, flat_scores = places.reshape(count, parts * k), scores.reshape(count, parts * k)
    best = np.lexsort((-flat, -flat_scores, flat < 0))[:, :k]
    return np.take_along_axis(flat_scores, best, axis=1), np.take_along_axis(flat, best, axis=1)


def _changes(columns: list[I64]) -> NDArray[np.bool_]:
    """`[n] bool`: which rows differ from the row before, in any column; the first does."""
    first = np.ones(len(columns[0]), np.bool_)
    first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return first


def _neighbours(owner: I64, start: I64, stop: I64) -> Iterator[I64]:
    """The samples of each owner with several long windows, by stop."""
    long = np.flatnonzero(stop - start > SHARED_FROM)
    order = long[np.lexsort((stop[long], owner[long]))]
    edges = np.append(np.flatnonzero(_changes([owner[order]])), len(order))
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if high - low > 1:
            yield order[low:high]


def _clusters(samples: I64, start: I64, stop: I64, recent: int) -> Iterator[tuple[I64, int, int]]:
    """Runs of samples of one owner, by stop, that share most of their windows; and the rows that they share."""
    windows = list(zip(start[samples].tolist(), stop[samples].tolist(), strict=True))
    begun = 0
    while begun < len(windows):
        first, end = windows[begun]
        low, high, number = first, end - recent, begun + 1
        while number < len(windows):
            first, lowest = min(first, windows[number][0]), max(low, windows[number][0])
            beyond = max(windows[number][1] - high - recent, lowest - first)
            if high - lowest < SHARED_FROM or beyond * BEYOND > high - lowest:
                break
            low, number = lowest, number + 1
        if len(set(windows[begun:number])) > 1:
            yield samples[begun:number], low, high
        begun = number
