"""From rows in log order to rows per user: which of them are alive after the batch, and where they belong.

Invariant: cutting the same rows into other batches leads to the same live rows under the same sequence numbers.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.columns import BEHAVIOUR, BehaviourBatch
from muse_stream.state.compiled import compiled
from muse_stream.state.rules import SECONDS_MAX

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Seconds = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Groups:
    """The rows of a batch by user; a user whose rows are all duplicates has no group.

    Attributes:
        users: `[g] int64`, ascending, distinct.
        bounds: `[g + 1] int64`; the live rows of group j are `behaviours[bounds[j]:bounds[j + 1]]`.
        skipped: `[g] int64` kept rows of the group that take a sequence number but are dead already: they precede an
            erasure, more than cap rows of the group follow them, or they expired within the batch.
        erased: `[g] bool`; the user was erased in the batch.
        behaviours: `[m] BEHAVIOUR`.

    """

    users: Ints
    bounds: Ints
    skipped: Ints
    erased: Flags
    behaviours: NDArray[np.void]

    @property
    def counts(self) -> Ints:
        """`[g] int64` live rows per group."""
        return np.diff(self.bounds)


@compiled
def _group(order: Ints, user: Ints, erase: Flags, keep: Flags, arrived: Seconds, cap: int, oldest: int, users: Ints,
           bounds: Ints, skipped: Ints, erased: Flags, take: Ints) -> int:  # fmt: skip
    """Walk the rows in `order` (by user, log order inside); fill the outputs, return the number of groups."""
    groups, filled, at = 0, 0, 0
    while at < len(order):
        owner = user[order[at]]
        first, dead, gone = filled, 0, False
        while at < len(order) and user[order[at]] == owner:
            row = order[at]
            at += 1
            if erase[row]:
                gone = True
                dead += filled - first
                filled = first
            elif keep[row]:
                take[filled] = row
                filled += 1
        over = max(filled - first - cap, 0)
        while first + over < filled and arrived[take[first + over]] < oldest:
            over += 1
        if over > 0:
            filled -= over
            dead += over
            for place in range(first, filled):
                take[place] = take[place + over]
        if filled > first or gone or dead > 0:
            users[groups] = owner
            bounds[groups] = first
            skipped[groups] = dead
            erased[groups] = gone
            groups += 1
    bounds[groups] = filled
    return groups


def group_by_user(batch: BehaviourBatch, keep: Flags, arrived: Seconds, cap: int, oldest: int) -> Groups:
    """Group the rows of `batch` that `keep` names.

    Args:
        batch: Rows in log order.
        keep: `[n] bool`; an erasing row counts whatever it says.
        arrived: `[n] uint32` arrival in seconds, never falling.
        cap: Length at which older rows are dead.
        oldest: Arrival before which rows are dead.

    """
    rows = len(batch)
    users, skipped, take = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    bounds, erased = np.empty(rows + 1, np.int64), np.empty(rows, np.bool_)
    order = np.argsort(batch.user, kind="stable")
    groups = _group(order, batch.user, batch.erase, keep, arrived, cap, oldest, users, bounds, skipped, erased, take)
    bounds = bounds[: groups + 1]
    take = take[: bounds[-1]]
    behaviours = np.empty(len(take), BEHAVIOUR)
    for name in ("item", "time_ms", "action", "category"):
        behaviours[name] = getattr(batch, name)[take]
    behaviours["arrived_seconds"] = arrived[take]
    return Groups(users[:groups], bounds, skipped[:groups], erased[:groups], behaviours)


def arrivals(batch: BehaviourBatch, watermark_ms: int) -> Seconds:
    """`[n] uint32` the latest broker time as each row's record came, in whole seconds, from one before the batch on."""
    latest_ms = np.maximum.accumulate(np.maximum(batch.broker_time_ms, watermark_ms))
    seconds: Seconds = np.minimum(latest_ms // 1_000, SECONDS_MAX).astype(np.uint32)
    return seconds
