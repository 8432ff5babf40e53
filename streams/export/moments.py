"""Moments, and an order in which one replay of the logs meets all of them.

Invariant: along a sweep no log has to go back: the moments of one partition rise in behaviours and in users, and all
moments rise in items. Moments given by times need one sweep; positions of served answers need one more for each time
that a partition went to a worker that stood further back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.export.impressions import NOBODY, Impressions

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Moment:
    """Up to where the logs count; offsets are None where the time says it."""

    time_ms: int
    behaviours: int | None = None
    users: int | None = None
    items: int | None = None


class Placed(Protocol):
    """The columns that say where `n` rows belong; see `Impressions`."""

    @property
    def user(self) -> I64:
        """`[n] int64`."""
        ...

    @property
    def partition(self) -> NDArray[np.int32]:
        """`[n] int32` of behaviours and users; `NOBODY`: the row is left out."""
        ...

    @property
    def time_ms(self) -> I64:
        """`[n] int64`."""
        ...

    @property
    def positions(self) -> I64 | None:
        """`[n, 3] int64` behaviours, users, items; None: the moments follow from the times."""
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """Impressions of one user at one moment: numbers into the impressions."""

    partition: int
    user: int
    moment: Moment
    rows: I64


def sweeps(rows: Placed) -> Iterator[I64]:
    """Numbers of all rows but those of `NOBODY`, a replay's worth at a time, in the order to take them."""
    wanted = np.flatnonzero(rows.partition != NOBODY)
    user, partition, time_ms = (column[wanted] for column in (rows.user, rows.partition, rows.time_ms))
    if rows.positions is None:
        yield wanted[np.lexsort((user, partition, time_ms))]
        return
    behaviours, users, items = rows.positions[wanted].T
    left = wanted[np.lexsort((time_ms, user, users, behaviours, partition, items))]
    while len(left):
        forward = _forward(rows.partition[left], rows.positions[left])
        yield left[forward]
        left = left[~forward]


def groups(impressions: Impressions, order: I64) -> Iterator[Group]:
    """What follows one another in `order` with the same user and moment."""
    if not len(order):
        return
    columns = [impressions.user, impressions.time_ms, *_columns(impressions.positions)]
    new = np.zeros(len(order), np.bool_)
    for column in columns:
        taken = column[order]
        new[1:] |= taken[1:] != taken[:-1]
    new[0] = True
    for low, high in pairwise([*np.flatnonzero(new).tolist(), len(order)]):
        rows = order[low:high]
        first = int(rows[0])
        yield Group(int(impressions.partition[first]), int(impressions.user[first]), _moment(impressions, first), rows)


def _columns(positions: I64 | None) -> list[I64]:
    return [] if positions is None else list(positions.T)


def _moment(impressions: Impressions, number: int) -> Moment:
    time_ms = int(impressions.time_ms[number])
    if impressions.positions is None:
        return Moment(time_ms)
    return Moment(time_ms, *impressions.positions[number].tolist())


def _forward(partition: NDArray[np.int32], positions: I64) -> NDArray[np.bool_]:
    """`[n] bool`: which can be met going forward, in this order of rising items."""
    reached: dict[int, tuple[int, int]] = {}
    taken = np.zeros(len(partition), np.bool_)
    for number, (where, (behaviours, users, _)) in enumerate(zip(partition.tolist(), positions.tolist(), strict=True)):
        at = reached.get(where, (0, 0))
        if behaviours >= at[0] and users >= at[1]:
            reached[where] = behaviours, users
            taken[number] = True
    return taken
