"""What a store holds at one moment: positions, sequences and profiles that belong together.

Invariant: all answers of one moment come from one RocksDB snapshot, whatever is appended meanwhile.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rocksdict import Snapshot

from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import BEHAVIOUR, NO_BEHAVIOURS, Sequence
from muse_stream.state.database import IDENTITY_KEY, Database, lookup, values_between
from muse_stream.state.errors import DamagedStoreError, StoreClosedError
from muse_stream.state.keys import LAST_START, profile_key, segment_key
from muse_stream.state.meta import LAYOUT, Progress, read_rules, read_start
from muse_stream.state.rules import RuleChange, StoreIdentity
from muse_stream.state.segments import every_user, last_segment


class Moment:
    """A consistent view of a store; close it soon (`with`), because RocksDB keeps what it sees.

    Attributes:
        position: Next behaviours offset wanted.
        users_position: Next users offset wanted.
        watermark_ms: Largest broker time so far, 0 before the first record.

    """

    def __init__(self, database: Database, cap: int) -> None:
        self._database = database
        self._cap = cap
        with database.gate:
            self._snapshot: Snapshot | None = database.db.snapshot()
            progress = Progress.read(self._snapshot)
        self.position = progress.position
        self.users_position = progress.users_position
        self.watermark_ms = progress.watermark_ms

    def sequence(self, user: int, last: int | None = None) -> Sequence:
        """The live behaviours of `user`, only the newest `last` if given; empty for an unknown or erased user.

        Raises:
            StoreClosedError: After close.
            DamagedStoreError: When segments are missing on disk.

        """
        if last is not None and last < 0:
            message = f"last is {last}, expected None (all) or a count of 0 or more."
            raise ValueError(message)
        with self._database.gate:
            return _read_sequence(
                self._database.path, self._view(), user, min(self._cap, last or 0) if last is not None else self._cap
            )

    def profile(self, user: int) -> bytes | None:
        """The latest profile of `user` as it was put, or None."""
        with self._database.gate:
            return lookup(self._view(), profile_key(user))

    def users(self) -> NDArray[np.int64]:
        """`[u] int64` users that have or had behaviours, ascending; one seek per user."""
        with self._database.gate:
            return every_user(self._view())

    def close(self) -> None:
        """Let go of the snapshot."""
        self._snapshot = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _view(self) -> Snapshot:
        if self._snapshot is None:
            message = f"{self._database.path}: the moment was closed. Operator action: none; take a new moment."
            raise StoreClosedError(message)
        return self._snapshot


class StoreReader(Moment):
    """A moment of a store that another process may be writing, for inspection and audit; `close` frees the directory.

    Attributes:
        identity: The log the store is built from.
        rules: Its rules, oldest first, each with the offset from which it holds.
        start_position: The behaviours offset at which the store began.

    """

    def __init__(self, database: Database) -> None:
        with database.gate:
            self.identity = StoreIdentity.from_bytes(lookup(database.db, IDENTITY_KEY) or b"{}")
            self.rules: list[RuleChange] = read_rules(database.db)
            self.start_position = read_start(database.db)
        super().__init__(database, self.rules[-1].rules.cap)

    @classmethod
    def open(cls, path: Path, *, budget: StoreBudget | None = None) -> "StoreReader":
        """Open what `path` holds now; later appends do not show.

        Raises:
            StoreOpenError: When there is no readable store of this layout.

        """
        return cls(Database.read_only(path, LAYOUT, (budget or StoreBudget()).options()))

    def close(self) -> None:
        """Let go of the snapshot and the directory."""
        super().close()
        self._database.close()


def _read_sequence(path: Path, view: Snapshot, user: int, count: int) -> Sequence:
    iterator = view.iter()
    final = last_segment(iterator, user)
    if final is None:
        return Sequence(0, NO_BEHAVIOURS)
    stop = sum(final)
    floor = max(stop - count, 0)
    if floor == stop:
        return Sequence(stop, NO_BEHAVIOURS)
    first = last_segment(iterator, user, floor)
    key = segment_key(user, first[0] if first else 0)
    values = values_between(view, key, segment_key(user, LAST_START))
    rows = np.frombuffer(b"".join(values), BEHAVIOUR)
    start = stop - len(rows)
    if first and start != first[0]:
        found = f"user {user} has {len(rows)} behaviours from {first[0]} on, but the next number is {stop}."
        raise DamagedStoreError(path, found, "move the directory away and replay the log, or restore a snapshot.")
    return Sequence(max(start, floor), rows[max(floor - start, 0) :])
