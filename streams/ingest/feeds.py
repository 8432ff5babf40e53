"""What happens to the records of one topic partition: decoded by the topic's codec, written to its store, told on.

Invariant: `write` puts rows and position into the store in one batch, and only then tells the engine; erased users
leave the engine before the rows of the same batch reach it.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from muse_stream.state.columns import Appended, BehaviourBatch
from muse_stream.streams.errors import LogMismatchError
from muse_stream.streams.ingest.ports import I64, Decode, DecodeUsers, HistorySink, Store
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.rejects import Reject

NO_TIMES: I64 = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded batch: `rows` in the form of its topic, and what was rejected."""

    rows: Any
    rejects: Sequence[Reject]


@dataclass(frozen=True, slots=True)
class Written:
    """What `write` did; times in seconds."""

    rows: int = 0
    applied: int = 0
    duplicates: int = 0
    erased: int = 0
    event_time_ms: I64 = field(default_factory=lambda: NO_TIMES)
    broker_time_ms: I64 = field(default_factory=lambda: NO_TIMES)
    store_seconds: float = 0.0
    engine_seconds: float = 0.0


class Feed(ABC):
    """One topic partition and where its rows go. Used by one thread, except `position`."""

    @property
    @abstractmethod
    def position(self) -> int:
        """Next offset that the store wants; readable from any thread."""

    @abstractmethod
    def skip_to(self, position: int) -> None:
        """Let a store that has read nothing begin at `position`, where a shortened log now begins."""

    def _check_begin(self, begin: int) -> None:
        if begin > self.position:
            message = (
                f"the batch was read from offset {begin}, the store needs {self.position} next. Operator action: none, "
                f"this is a fault of this program; nothing was skipped, restart the worker to read on."
            )
            raise LogMismatchError(message)

    @property
    def visible(self) -> int:
        """Offset below which readers see everything; readable from any thread."""
        return self.position

    @abstractmethod
    def decode(self, records: RecordBatch) -> Decoded:
        """Decode a batch; malformed records become rejects, neighbours stay."""

    @abstractmethod
    def write(self, rows: Any, position: int, begin: int) -> Written:  # noqa: ANN401 - each topic's own columns
        """Store rows read from offset `begin` on and the new position in one batch, then tell the engine."""


class BehaviourFeed(Feed):
    """Behaviours into a partition's store and the engine's resident histories.

    `uncounted` is a user whose behaviours and erasures are in no figure but the rows: the partition's canary.
    """

    def __init__(
        self, store: Store, engine: HistorySink, decode: Decode[BehaviourBatch], *, uncounted: int = 0
    ) -> None:
        self._store, self._engine, self._decode = store, engine, decode
        self._uncounted = uncounted

    @property
    def position(self) -> int:
        """Next behaviours offset that the store wants."""
        return self._store.position

    def decode(self, records: RecordBatch) -> Decoded:
        """Decode to columns; see `streams.wire`."""
        return Decoded(*self._decode(records))

    def skip_to(self, position: int) -> None:
        """Nothing to do: such a store was opened at that position."""

    def write(self, rows: BehaviourBatch, position: int, begin: int) -> Written:
        """Append, then drop the erased and append the new to the engine."""
        rows = _from_offset(rows, self.position)
        started = time.perf_counter()
        done = self._store.append(rows, position=position, begin=begin)
        stored = time.perf_counter()
        if len(done.erased):
            self._engine.drop(done.erased)
        if len(done.users):
            self._engine.append(done.users, done.starts, done.bounds, done.behaviours["item"])
        told = time.perf_counter()
        kept = ~rows.erase & (rows.user != self._uncounted)
        return Written(
            rows=len(rows),
            applied=len(done.behaviours) - self._applied_uncounted(done),
            duplicates=done.duplicates,
            erased=len(done.erased) - int(np.count_nonzero(done.erased == self._uncounted)),
            event_time_ms=rows.time_ms[kept],
            broker_time_ms=rows.broker_time_ms[kept],
            store_seconds=stored - started,
            engine_seconds=told - stored,
        )

    def _applied_uncounted(self, done: Appended) -> int:
        place = int(np.searchsorted(done.users, self._uncounted))
        if place == len(done.users) or done.users[place] != self._uncounted:
            return 0
        return int(done.bounds[place + 1] - done.bounds[place])


@dataclass(frozen=True, slots=True)
class UserRows:
    """Rows of the users topic in log order.

    Attributes:
        user: `[n] int64` user ids.
        profile: `[n]` profile bytes as stored; None forgets the profile.

    """

    user: I64
    profile: Sequence[bytes | None]

    def __len__(self) -> int:
        return len(self.user)


class UserFeed(Feed):
    """Profiles into a partition's store; requests read them from there."""

    def __init__(self, store: Store, decode: DecodeUsers) -> None:
        self._store, self._decode = store, decode

    @property
    def position(self) -> int:
        """Next users offset that the store wants."""
        return self._store.users_position

    def decode(self, records: RecordBatch) -> Decoded:
        """Decode to ids and profile bytes; see `streams.wire`."""
        users, profiles, rejects = self._decode(records)
        return Decoded(UserRows(users, profiles), rejects)

    def skip_to(self, position: int) -> None:
        """Move the empty store."""
        self._store.put_users(np.empty(0, np.int64), [], position=position)

    def write(self, rows: UserRows, position: int, begin: int) -> Written:
        """Store the latest profiles."""
        self._check_begin(begin)
        started = time.perf_counter()
        self._store.put_users(rows.user, rows.profile, position=position)
        return Written(rows=len(rows), applied=len(rows), store_seconds=time.perf_counter() - started)


def _from_offset(rows: BehaviourBatch, position: int) -> BehaviourBatch:
    """Drop rows below `position`: they are in the store already."""
    first = int(np.searchsorted(rows.offset, position))
    return rows.rows(first, len(rows)) if first else rows
