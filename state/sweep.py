"""Removal of what has expired of users who append nothing: a round over all users, a few at each append.

Invariant: physical only; a store reads the same however far the sweep has come.

A round takes half a time to live of broker time, so expired rows lie on disk for half a time to live at most while the
log flows evenly. What it costs is bounded: an append visits as many users as that pace asks for, never more than it has
users of its own and a few; after a jump of the brokers' clock the round takes longer then. A visit is a seek. The
account of it is kept in the meta with each append, so that a restart goes on where it was.

Key `sweep` in the meta: 4 x i64 LE: next user, users visited in this round, users of the store as far as known (0 = not
counted yet: rounds go at their fastest), the broker time in ms up to which the pace was kept.
"""

import struct
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from rocksdict import WriteBatch

from muse_stream.state.cursor import Cursor
from muse_stream.state.keys import (
    BEHAVIOURS,
    META,
    ROW_BYTES,
    segment_key,
    split_segment_key,
)
from muse_stream.state.rules import Rules
from muse_stream.state.segments import newest_arrival, segments_from

_KEY = META + b"sweep"
_SWEEP = struct.Struct("<4q")
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
VISITS_MIN = 64
"""Users that even an append of few users may visit: some tenths of a millisecond."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sweep:
    """How far a round has come; see the key."""

    next_user: int = _LOWEST
    visited: int = 0
    users: int = 0
    watermark_ms: int = 0

    @classmethod
    def read(cls, cursor: Cursor) -> "Sweep":
        """The one in the store; a new round where there is none."""
        raw = cursor.get(_KEY)
        return cls(*_SWEEP.unpack(raw)) if raw else cls()

    def due(self, ttl_seconds: int, watermark_ms: int, users: int) -> tuple[int, int]:
        """How many users to visit at an append of so many users, and the time up to which the pace is kept then."""
        most, known, round_ms = users + VISITS_MIN, max(self.users, self.visited), ttl_seconds * 500
        visits = known * (watermark_ms - self.watermark_ms) // round_ms
        if self.users == 0 or visits > most:
            return most, watermark_ms
        return visits, self.watermark_ms + visits * round_ms // known

    def put(self, out: WriteBatch) -> None:
        """Carry this in `out`."""
        out.put(_KEY, _SWEEP.pack(self.next_user, self.visited, self.users, self.watermark_ms))

    def step(
        self, cursor: Cursor, rules: Rules, watermark_ms: int, out: WriteBatch, *, busy: Ints, added: int
    ) -> "Swept":
        """Visit the users that are due, and delete in `out` their segments that have expired whole.

        Args:
            cursor: The store before the append.
            rules: Those of the append.
            watermark_ms: Latest broker time after the append.
            out: The append's batch.
            busy: `[b] int64` users whom the append itself writes, ascending: they are left to it.
            added: How many of them the store did not know.

        """
        if rules.ttl_seconds is None:
            return Swept(self)
        due, reached_ms = self.due(rules.ttl_seconds, watermark_ms, len(busy))
        if due == 0:
            sweep = replace(self, users=self.users + added)
            sweep.put(out)
            return Swept(sweep)
        oldest = rules.oldest_seconds(watermark_ms)
        gone: list[tuple[int, int]] = []
        at, visited = self.next_user, 0
        while visited < due and at <= _HIGHEST:
            key = cursor.at_or_after(segment_key(at, 0))
            if key is None or key[:1] != BEHAVIOURS:
                at = _HIGHEST + 1
                break
            user, _ = split_segment_key(key)
            visited, at = visited + 1, user + 1
            if newest_arrival(cursor.value()) < oldest and not _among(busy, user):
                gone.append((user, _trim(cursor, user, oldest, out)))
        visited += self.visited
        if at > _HIGHEST:
            sweep = Sweep(users=visited + added, watermark_ms=reached_ms)
        else:
            users = self.users and self.users + added
            sweep = Sweep(next_user=at, visited=visited, users=users, watermark_ms=reached_ms)
        sweep.put(out)
        return Swept(sweep, *np.array(gone, np.int64).reshape(-1, 2).T)


def _nobody() -> Ints:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one step did.

    Attributes:
        sweep: How far the round is now.
        users: `[u] int64` users of whom segments were deleted.
        heads: `[u] int64` where each one's rest starts.

    """

    sweep: Sweep
    users: Ints = field(default_factory=_nobody)
    heads: Ints = field(default_factory=_nobody)


def _trim(cursor: Cursor, user: int, oldest: int, out: WriteBatch) -> int:
    """Delete the user's expired segments; where the rest starts, which may be a tombstone."""
    stop = 0
    for start, value in segments_from(cursor, user, 0):
        if newest_arrival(value) >= oldest:
            return start
        out.delete(segment_key(user, start))
        stop = start + len(value) // ROW_BYTES
    out.put(segment_key(user, stop), b"")
    return stop


def _among(users: Ints, user: int) -> bool:
    place = int(np.searchsorted(users, user))
    return place < len(users) and int(users[place]) == user
