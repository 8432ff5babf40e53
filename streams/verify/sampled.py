"""Some users' behaviours and profiles of one partition, at any moment up to the position read, in memory.

A history only ever grows at its end, so the one of an earlier moment is a prefix of the rows, found by the log offset
of each; cap, time to live and erasures then hold as at that moment. Which behaviours are repeats and when one arrived
depends on *all* users of the partition, so every record is decoded, by the worker's code, and put through the worker's
own duplicate window and clock; only the rows of sampled users stay.

Invariant: what `see` gives is what a worker's store with the same rules gives at these positions; what has been let go
of for room is `PASSED`, never a shorter history.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.columns import BEHAVIOUR, NO_BEHAVIOURS, BehaviourBatch, Sequence
from muse_stream.state.duplicates import DuplicateWindow
from muse_stream.state.grouping import arrivals
from muse_stream.state.rules import Rules
from muse_stream.streams.export.past import Codecs, Seen
from muse_stream.streams.export.tape import Piece
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.serving.features import in_share_each
from muse_stream.streams.verify.reasons import Unknown
from muse_stream.streams.wire.ids import parse_keys
from muse_stream.streams.wire.users import decode_profile

SLACK_ROWS = 1_000
"""Rows kept beyond the cap, so that an answer of a moment ago still finds its history."""
SECONDS_KEPT = 4_096
"""Moments at which the partition's clock moved on by a second: an hour of them."""
PROFILES_KEPT = 64
ROW = np.dtype([("offset", "<i8"), ("behaviour", BEHAVIOUR)])


@dataclass(slots=True)
class UserRows:
    """The rows of one user, oldest first.

    Attributes:
        base: Sequence number of the first row held.
        erased: (log offset, the sequence number that the next behaviour got) of erasures, oldest first.

    """

    base: int = 0
    count: int = 0
    erased: list[tuple[int, int]] = field(default_factory=list)
    _rows: NDArray[np.void] = field(default_factory=lambda: np.empty(16, ROW))

    @property
    def rows(self) -> NDArray[np.void]:
        """`[count] ROW`."""
        return self._rows[: self.count]

    def append(self, rows: NDArray[np.void], cap: int) -> None:
        """Add rows, and let go of what is far beyond the cap."""
        if self.count + len(rows) > len(self._rows):
            self._make_room(len(rows), cap + SLACK_ROWS)
        self._rows[self.count : self.count + len(rows)] = rows
        self.count += len(rows)

    def erase(self, offset: int) -> None:
        """The user was erased; what an earlier erasure took is let go of."""
        if self.erased:
            self._drop(self.erased[-1][1] - self.base)
        self.erased = [*self.erased[-1:], (offset, self.base + self.count)]

    def _make_room(self, more: int, keep: int) -> None:
        if self.count > keep:
            self._drop(self.count - keep)
        held = np.empty(max(16, 2 * self.count, self.count + more), ROW)
        held[: self.count] = self.rows
        self._rows = held

    def _drop(self, count: int) -> None:
        if count > 0:
            self._rows = self._rows[count:].copy()
            self.base += count
            self.count -= count


class SampledPartition:
    """One partition. Fed in log order; asked about any moment.

    Attributes:
        position: Next behaviours offset wanted.
        users_position: Next users offset wanted.

    """

    def __init__(self, codecs: Codecs, rules: Rules, share: float) -> None:
        self.position = self.users_position = 0
        self._codecs, self._rules, self._share = codecs, rules, share
        self._window = DuplicateWindow(rules.duplicate_window)
        self._watermark_ms = 0
        self._users: dict[int, UserRows] = {}
        self._profiles: dict[int, list[tuple[int, bytes | None]]] = {}
        self._seconds: list[tuple[int, int]] = []
        self._seconds_gone = False

    def __len__(self) -> int:
        return sum(user.count for user in self._users.values())

    def behaviours(self, records: RecordBatch) -> None:
        """Take the next records of the behaviours log."""
        batch, _ = self._codecs.behaviours(records)
        keep, _ = self._window.admit(batch)
        arrived = arrivals(batch, self._watermark_ms)
        self._watermark_ms = max(self._watermark_ms, int(batch.broker_time_ms.max(initial=0)))
        self._remember_seconds(batch, arrived)
        mine = in_share_each(batch.user, self._share) & (keep | batch.erase)
        for run in _runs(batch, np.flatnonzero(mine)):
            self._take(batch, arrived, run)
        self.position = records.next_offset

    def users(self, records: RecordBatch) -> None:
        """Take the next records of the users log."""
        mine = in_share_each(parse_keys(records.keys).id, self._share)
        for row in np.flatnonzero(mine).tolist():
            offset = int(records.offset[row])
            ids, profiles, _ = self._codecs.users(Piece(records, row, row + 1, offset + 1).records())
            for user, profile in zip(ids.tolist(), profiles, strict=True):
                versions = self._profiles.setdefault(user, [])
                versions.append((offset, profile))
                del versions[:-PROFILES_KEPT]
        self.users_position = records.next_offset

    def see(self, user: int, behaviours: int, users: int) -> Seen | Unknown:
        """What was known of a sampled user when the logs were at these positions; both must have been reached."""
        history, profile = self._history(user, behaviours), self._profile(user, users)
        if isinstance(history, Unknown):
            return history
        if isinstance(profile, Unknown):
            return profile
        return Seen(history, decode_profile(profile) if profile else {}, behaviours, users)

    def _take(self, batch: BehaviourBatch, arrived: NDArray[np.uint32], rows: NDArray[np.intp]) -> None:
        """Rows of one user, without or up to an erasure."""
        user = self._users.setdefault(int(batch.user[rows[0]]), UserRows())
        plain = rows[~batch.erase[rows]]
        made = np.empty(len(plain), ROW)
        made["offset"] = batch.offset[plain]
        for name in ("item", "time_ms", "action", "category"):
            made["behaviour"][name] = getattr(batch, name)[plain]
        made["behaviour"]["arrived_seconds"] = arrived[plain]
        user.append(made, self._rules.cap)
        if batch.erase[rows[-1]]:
            user.erase(int(batch.offset[rows[-1]]))

    def _history(self, user: int, position: int) -> Sequence | Unknown:
        held = self._users.get(user)
        if held is None:
            return Sequence(0, NO_BEHAVIOURS)
        oldest = self._oldest(position)
        if isinstance(oldest, Unknown):
            return oldest
        rows = held.rows
        stop = held.base + int(np.searchsorted(rows["offset"], position))
        erased = max((number for offset, number in held.erased if offset < position), default=0)
        low = max(stop - self._rules.cap, erased, 0)
        if low < held.base:
            return Unknown.PASSED
        found = rows["behaviour"][low - held.base : stop - held.base]
        dead = int(np.searchsorted(found["arrived_seconds"], oldest))
        return Sequence(low + dead, found[dead:].copy())

    def _profile(self, user: int, position: int) -> bytes | Unknown | None:
        versions = self._profiles.get(user, [])
        place = bisect_left(versions, position, key=lambda version: version[0])
        if place:
            return versions[place - 1][1]
        return Unknown.PASSED if len(versions) == PROFILES_KEPT else None

    def _oldest(self, position: int) -> int | Unknown:
        """The earliest arrival that had not expired."""
        if self._rules.ttl_seconds is None:
            return 0
        place = bisect_left(self._seconds, position, key=lambda mark: mark[0])
        if not place:
            return Unknown.PASSED if self._seconds_gone else 0
        return self._rules.oldest_seconds(self._seconds[place - 1][1] * 1_000)

    def _remember_seconds(self, batch: BehaviourBatch, arrived: NDArray[np.uint32]) -> None:
        if self._rules.ttl_seconds is None or not len(batch):
            return
        before = self._seconds[-1][1] if self._seconds else -1
        rises = np.flatnonzero(np.diff(arrived.astype(np.int64), prepend=before) > 0)
        self._seconds += zip(batch.offset[rises].tolist(), arrived[rises].tolist(), strict=True)
        if len(self._seconds) > 2 * SECONDS_KEPT:
            del self._seconds[:-SECONDS_KEPT]
            self._seconds_gone = True


def _runs(batch: BehaviourBatch, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """These rows by user, in log order, cut after each erasure."""
    ordered = rows[np.argsort(batch.user[rows], kind="stable")]
    users, erase = batch.user[ordered], batch.erase[ordered]
    cuts = np.flatnonzero((users[1:] != users[:-1]) | erase[:-1]) + 1
    return np.split(ordered, cuts) if len(ordered) else []
