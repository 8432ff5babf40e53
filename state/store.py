"""The durable behaviours of one partition: a pure function of a prefix of its log.

Invariant: rows, users and positions on disk always belong together: each append is one WriteBatch that carries the
rows, the duplicate window's new pairs, the watermark and the consumer's next position. Whatever is killed, the next
open finds the state after some whole append, and reading the log on from `position` continues it exactly.

One thread appends at a time (a lock sees to it); any number of threads read meanwhile.
"""

import threading
import time
import weakref
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rocksdict import Checkpoint, WriteBatch

from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import Appended, BehaviourBatch, Sequence
from muse_stream.state.cursor import Cursor
from muse_stream.state.database import Condition, Database
from muse_stream.state.duplicates import DuplicateWindow
from muse_stream.state.errors import BatchError, PositionError, StoreWriteError
from muse_stream.state.grouping import Groups, arrivals, group_by_user
from muse_stream.state.keys import BEHAVIOURS, BEHAVIOURS_END, profile_key
from muse_stream.state.meta import LAYOUT, OLDER_LAYOUTS, Progress, begin, read_rules, read_start
from muse_stream.state.migration import migrate
from muse_stream.state.moment import Moment
from muse_stream.state.rules import RuleChange, Rules, StoreIdentity
from muse_stream.state.segments import plan_append, read_tail, truncated, write_append
from muse_stream.state.sweep import Sweep
from muse_stream.state.tails import Tails

FLUSH_SECONDS = 10.0
"""A memtable of 32 MB takes 0.15 s."""
FLUSH_LOOK_SECONDS = 0.01

_COUNTS = ("behaviours", "duplicates", "erasures", "merges", "cold_tails", "put_bytes", "truncated")


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Figures of one store; counts are since it was opened.

    Attributes:
        position: Next behaviours offset wanted.
        users_position: Next users offset wanted.
        watermark_ms: Largest broker time so far.
        behaviours: Behaviours appended.
        duplicates: Behaviours dropped because their event id was seen.
        erasures: Users erased, once per append.
        merges: Chunks made of open segments.
        cold_tails: Users whose tail had to be read from the store.
        cached_tails: Tail entries in memory now.
        window: Pairs in the duplicate window now.
        put_bytes: Bytes of behaviours handed to RocksDB, merges included.
        truncated: Behaviours that the cap took out of their user's sequence, newer ones having come.
        disk_bytes: Size of the table files.
        memtable_bytes: Size of what is not flushed yet.
        condition: How RocksDB copes.

    """

    position: int
    users_position: int
    watermark_ms: int
    behaviours: int
    duplicates: int
    erasures: int
    merges: int
    cold_tails: int
    cached_tails: int
    window: int
    put_bytes: int
    truncated: int
    disk_bytes: int
    memtable_bytes: int
    condition: Condition


class BehaviourStore:
    """The store of one behaviours partition in one directory.

    Attributes:
        path: The directory.
        identity: The log it is built from.
        rules: The rules that hold for the next append.

    """

    def __init__(self, database: Database, identity: StoreIdentity, rules: Rules, budget: StoreBudget) -> None:
        self.path = database.path
        self.identity = database.identity or identity
        self.rules = rules
        self._database = database
        self._budget = budget
        self._lock = threading.Lock()
        self._moments: weakref.WeakSet[Moment] = weakref.WeakSet()
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._sweep = Sweep()
        self._remember()

    @classmethod
    def open(
        cls,
        path: Path,
        identity: StoreIdentity,
        rules: Rules,
        *,
        budget: StoreBudget | None = None,
        start_position: int | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> "BehaviourStore":
        """Open the store in `path`, or begin one there.

        Args:
            path: The store's own directory; created with its parents.
            identity: The log; a store of another one is refused.
            rules: Hold from the store's position on when they differ from the stored ones.
            budget: Shared memory limits; one of its own if None.
            start_position: Where a store that has read nothing begins; others keep their position. Say it only when
                the log no longer reaches back to its start: the store then lacks what came before, and says so.
            beat: Called now and then while a conversion from an older layout takes its time.

        Raises:
            StoreOpenError: One of its kinds; the directory is left as it was.

        """
        budget = budget or StoreBudget()
        database = Database.open(path, LAYOUT, identity, budget.options(), OLDER_LAYOUTS)
        try:
            migrate(database, beat)
            begin(database, rules, start_position)
            return cls(database, identity, rules, budget)
        except BaseException:
            database.close()
            raise

    @property
    def position(self) -> int:
        """Next behaviours offset wanted."""
        return self._progress.position

    @property
    def users_position(self) -> int:
        """Next users offset wanted."""
        return self._progress.users_position

    @property
    def watermark_ms(self) -> int:
        """Largest broker time so far, 0 before the first record."""
        return self._progress.watermark_ms

    @property
    def start_position(self) -> int:
        """The behaviours offset at which the store began."""
        with self._database.gate, self._database.cursor() as cursor:
            return read_start(cursor)

    @property
    def rule_changes(self) -> list[RuleChange]:
        """The rules so far, oldest first, each with the offset from which it holds."""
        with self._database.gate, self._database.cursor() as cursor:
            return read_rules(cursor)

    def append(self, batch: BehaviourBatch, *, position: int, begin: int | None = None) -> Appended:
        """Store the rows of `batch` and the consumer's next `position`, both or neither.

        Rows below the stored position are dropped: they are in the store. A `position` at or below it changes nothing.

        Args:
            batch: Rows in log order.
            position: The offset to read next; above all offsets of the batch.
            begin: The offset the consumer read from, if known: one above the stored position would leave a hole.

        Raises:
            BatchError: Columns contradict each other.
            PositionError: `position` does not cover the rows, or `begin` leaves a hole.
            StoreWriteError: RocksDB refused; the store is as before.
            StoreClosedError: After close.

        """
        batch.check()
        with self._lock, self._database.gate:
            self._check_position(batch, position, begin)
            if known := int(np.searchsorted(batch.offset, self.position)):
                batch = batch.rows(known, len(batch))
            if position <= self.position:
                return _appended(group_by_user(batch, batch.erase, arrivals(batch, 0), 1, 0), np.empty(0, np.int64), 0)
            return self._append(batch, position)

    def put_users(self, users: NDArray[np.int64], profiles: SequenceOf[bytes | None], *, position: int) -> None:
        """Store the latest profiles and the users topic's next `position`, both or neither.

        Args:
            users: `[n] int64`; of a user that occurs twice the later profile counts.
            profiles: `[n]`; None forgets the profile.
            position: The users offset to read next. One at or below the stored position changes nothing: a replay
                from further back must reach beyond it in one call, or is not needed.

        Raises:
            BatchError: Different lengths.
            StoreWriteError: RocksDB refused; the store is as before.
            StoreClosedError: After close.

        """
        if len(users) != len(profiles):
            message = f"{len(users)} users and {len(profiles)} profiles: pass one profile, or None, per user."
            raise BatchError(message)
        with self._lock, self._database.gate:
            if position <= self.users_position:
                return
            out = WriteBatch(raw_mode=True)
            for user, profile in zip(users.tolist(), profiles, strict=True):
                if profile is None:
                    out.delete(profile_key(user))
                else:
                    out.put(profile_key(user), profile)
            self._write(out, replace(self._progress, users_position=position))

    def moment(self) -> Moment:
        """A consistent view of now; close it soon."""
        moment = Moment(self._database, self.rules)
        self._moments.add(moment)
        return moment

    def sequence(self, user: int, last: int | None = None) -> Sequence:
        """The live behaviours of `user` now, see `Moment.sequence`."""
        with self.moment() as moment:
            return moment.sequence(user, last)

    def stats(self) -> StoreStats:
        """Figures of the store now."""
        with self._database.gate:
            disk = self._database.number("total-sst-files-size")
            memtables = self._database.number("cur-size-all-mem-tables")
            condition = self._database.condition()
        return StoreStats(
            position=self.position,
            users_position=self.users_position,
            watermark_ms=self.watermark_ms,
            **self._counts,
            cached_tails=len(self._tails),
            window=len(self._window),
            disk_bytes=disk,
            memtable_bytes=memtables,
            condition=condition,
        )

    def checkpoint(self, path: Path) -> None:
        """Write a consistent copy of the store to `path`, which must not exist; hard links where the disk allows.

        A checkpoint writes what is not flushed yet, and rocksdict holds the interpreter meanwhile (0.12 s for 28 MB).
        So that is flushed in the background first; then the rest takes 2 ms.

        Raises:
            StoreWriteError: RocksDB refused.
            StoreClosedError: After close.

        """
        self._flush()
        with self._database.gate:
            try:
                Checkpoint(self._database.db).create_checkpoint(str(path))
            except Exception as error:
                message = (
                    f"{path}: no checkpoint ({error}). Operator action: name a new directory on a disk with space."
                )
                raise StoreWriteError(message) from error

    def _flush(self) -> None:
        """Write in the background what is not flushed yet; waits for it, but not for ever: a disk may be full."""
        with self._database.gate:
            self._database.db.flush(wait=False)
        until = time.monotonic() + FLUSH_SECONDS
        while time.monotonic() < until:
            with self._database.gate:
                if not self._database.number("num-immutable-mem-table"):
                    return
            time.sleep(FLUSH_LOOK_SECONDS)

    def close(self) -> None:
        """Close the store; waits for calls inside, then reads and appends raise StoreClosedError."""
        self._database.close(list(self._moments))

    def _check_position(self, batch: BehaviourBatch, position: int, begin: int | None) -> None:
        if len(batch) and position <= batch.offset[-1]:
            found = f"{self.path}: position {position} does not cover the batch's last offset {batch.offset[-1]}."
            message = f"{found} Operator action: none, this is a fault of the caller; pass the offset to read next."
            raise PositionError(message)
        if begin is not None and begin > self.position:
            found = f"{self.path}: the batch was read from offset {begin}, the store needs {self.position} next."
            message = f"{found} Operator action: none, the caller must seek to the store's position."
            raise PositionError(message)

    def _append(self, batch: BehaviourBatch, position: int) -> Appended:
        out = WriteBatch(raw_mode=True)
        watermark_ms = max(self.watermark_ms, int(batch.broker_time_ms.max(initial=0)))
        cap, oldest = self.rules.cap, self.rules.oldest_seconds(watermark_ms)
        keep, pairs = self._window.admit(batch)
        groups = group_by_user(batch, keep, arrivals(batch, self.watermark_ms), cap, oldest)
        try:
            with self._database.cursor() as cursor:
                plan = plan_append(groups, self._tails_of(groups.users, cursor), cap, oldest)
                put_bytes = write_append(cursor, groups, plan, out)
                added = int(np.count_nonzero(plan.before[0] == 0))
                swept = self._sweep.step(cursor, self.rules, watermark_ms, out, busy=groups.users, added=added)
            self._window.write(pairs, out)
            self._write(out, replace(self._progress, position=position, watermark_ms=watermark_ms))
        except BaseException:
            self._remember()
            raise
        self._tails.store(groups.users, plan.tails)
        self._tails.raise_heads(swept.users, swept.heads)
        self._sweep = swept.sweep
        duplicates = len(batch) - int(np.count_nonzero(keep))
        self._count(
            behaviours=int(np.count_nonzero(keep & ~batch.erase)),
            duplicates=duplicates,
            erasures=int(np.count_nonzero(groups.erased)),
            merges=len(plan.merges),
            put_bytes=put_bytes,
            truncated=truncated(groups, plan),
        )
        return _appended(groups, plan.starts, duplicates)

    def _tails_of(self, users: NDArray[np.int64], cursor: Cursor) -> NDArray[np.int64]:
        """Tails `[3, u]` of `[u]` users, read from the store where memory does not know them."""
        tails, found = self._tails.lookup(users)
        if self._tails.complete:
            return tails
        cold = np.flatnonzero(~found)
        for place, user in zip(cold.tolist(), users[cold].tolist(), strict=True):
            tails[:2, place] = read_tail(cursor, user)
        self._count(cold_tails=len(cold))
        return tails

    def _write(self, out: WriteBatch, progress: Progress) -> None:
        progress.put(out)
        self._database.write(out)
        self._progress = progress

    def _remember(self) -> None:
        """Read from the store what is kept in memory beside it."""
        with self._database.cursor() as cursor:
            self._progress = Progress.read(cursor)
            self._sweep = Sweep.read(cursor)
            first = cursor.at_or_after(BEHAVIOURS)
            self._window = DuplicateWindow.load(cursor, self.rules.duplicate_window)
        self._tails = Tails(self._budget.tail_users, complete=first is None or first >= BEHAVIOURS_END)

    def _count(self, **more: int) -> None:
        for name, value in more.items():
            self._counts[name] += value


def _appended(groups: Groups, starts: NDArray[np.int64], duplicates: int) -> Appended:
    counts = groups.counts
    lives = counts > 0
    bounds = np.concatenate([[0], np.cumsum(counts[lives])])
    return Appended(
        users=groups.users[lives],
        starts=starts[lives],
        bounds=bounds,
        behaviours=groups.behaviours,
        erased=groups.users[groups.erased | (counts == 0)],
        duplicates=duplicates,
    )
