"""What a store holds at one moment: positions, sequences and profiles that belong together.

Invariant: all answers of one moment come from one cursor, whatever is appended meanwhile.
"""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import BEHAVIOUR, NO_BEHAVIOURS, Sequence
from muse_stream.state.cursor import Cursor
from muse_stream.state.database import IDENTITY_KEY, Database
from muse_stream.state.duplicates import DuplicateWindow
from muse_stream.state.keys import profile_key, segment_key
from muse_stream.state.meta import LAYOUT, OLDER_LAYOUTS, Progress, read_rules, read_start, read_undated
from muse_stream.state.remembered import Remembered
from muse_stream.state.rules import RuleChange, Rules, StoreIdentity
from muse_stream.state.segments import every_user, first_alive, first_start, last_segment, newest_arrival, require_whole


class Moment:
    """A consistent view of a store; close it soon (`with`), because RocksDB keeps what it sees.

    Attributes:
        position: Next behaviours offset wanted.
        users_position: Next users offset wanted.
        watermark_ms: Largest broker time so far, 0 before the first record.
        kept_by: The rules that its reads follow.

    """

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._lock = threading.Lock()
        with database.gate:
            self._cursor = database.cursor()
            progress = Progress.read(self._cursor)
        self.position = progress.position
        self.users_position = progress.users_position
        self.watermark_ms = progress.watermark_ms
        self.kept_by = rules
        self._oldest = rules.oldest_seconds(progress.watermark_ms)

    def sequence(self, user: int, last: int | None = None, known: Remembered | None = None) -> Sequence:
        """The live behaviours of `user`, only the newest `last` if given; empty for an unknown or erased user.

        Args:
            user: Whose.
            last: The newest so many; None: all.
            known: What earlier reads of that user gave, from moments of the same open store; it is read on from there
                and has everything afterwards. What it holds already is not looked for on disk.

        Raises:
            StoreClosedError: After close.
            DamagedStoreError: When segments are missing on disk.

        """
        if last is not None and last < 0:
            message = f"last is {last}, expected None (all) or a count of 0 or more."
            raise ValueError(message)
        with self._database.gate, self._lock:
            count = self.kept_by.cap if last is None else min(last, self.kept_by.cap)
            return _read_sequence(self._cursor, user, count, self._oldest, known or Remembered())

    def profile(self, user: int) -> bytes | None:
        """The latest profile of `user` as it was put, or None."""
        with self._database.gate, self._lock:
            return self._cursor.get(profile_key(user))

    def users(self) -> NDArray[np.int64]:
        """`[u] int64` users that have or had behaviours, ascending; one seek per user."""
        with self._database.gate, self._lock:
            return every_user(self._cursor)

    def close(self) -> None:
        """Let go of the view."""
        with self._lock:
            self._cursor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class StoreReader(Moment):
    """A moment of a store that another process may be writing, for inspection and audit; `close` frees the directory.

    Attributes:
        identity: The log the store is built from.
        rules: Its rules, oldest first, each with the offset from which it holds.
        start_position: The behaviours offset at which the store began.
        undated_until: Behaviours before this offset count as arrived when the store was at it; 0 in most stores.

    """

    def __init__(self, database: Database) -> None:
        with database.gate, database.cursor() as cursor:
            self.identity = StoreIdentity.from_bytes(cursor.get(IDENTITY_KEY) or b"{}")
            begun = read_rules(cursor)  # empty where the process that created the store died in between
            self.rules: list[RuleChange] = begun or [RuleChange(0, Rules())]
            self.start_position = read_start(cursor)
            self.undated_until = read_undated(cursor)
        super().__init__(database, self.rules[-1].rules)

    @classmethod
    def open(cls, path: Path, *, budget: StoreBudget | None = None) -> "StoreReader":
        """Open what `path` holds now; later appends do not show.

        Raises:
            StoreOpenError: When there is no readable store of this layout.

        """
        return cls(Database.read_only(path, LAYOUT, (budget or StoreBudget()).options(), OLDER_LAYOUTS))

    def window(self) -> NDArray[np.void]:
        """`[n] PAIR`: users and event ids of the duplicate window, oldest first."""
        with self._database.gate, self._lock:
            return DuplicateWindow.load(self._cursor, self.rules[-1].rules.duplicate_window).pairs()

    def close(self) -> None:
        """Let go of the view and the directory."""
        super().close()
        self._database.close()


def _read_sequence(cursor: Cursor, user: int, count: int, oldest: int, known: Remembered | None) -> Sequence:
    final = last_segment(cursor, user)
    if final is None:
        return Sequence(0, NO_BEHAVIOURS)
    stop = sum(final)
    floor = max(stop - count, 0)
    if floor == stop or newest_arrival(cursor.value()) < oldest:
        return Sequence(stop, NO_BEHAVIOURS)
    start = first_start(cursor, user, floor)
    rows = _rows_from(cursor, user, start, final) if known is None else _rows_known(cursor, user, start, final, known)
    dead = max(floor - start, first_alive(rows, oldest))
    if known is not None:
        known.drop_before(start + dead)
    return Sequence(start + dead, rows[dead:])


def _rows_from(cursor: Cursor, user: int, start: int, final: tuple[int, int]) -> NDArray[np.void]:
    """Rows from the segment that starts at `start` to the final one (start, rows)."""
    values = cursor.values(segment_key(user, start), segment_key(user, final[0]))
    rows = np.frombuffer(b"".join(values), BEHAVIOUR)
    require_whole(cursor, start, sum(final), len(rows))
    return rows


def _rows_known(cursor: Cursor, user: int, start: int, final: tuple[int, int], known: Remembered) -> NDArray[np.void]:
    """The same, of which what is known is not read again."""
    if not known.holds(start, sum(final)):
        known.replace(start, _rows_from(cursor, user, start, final))
    elif known.stop < sum(final):
        later = first_start(cursor, user, known.stop)
        rows = _rows_from(cursor, user, later, final)
        require_whole(cursor, known.stop, sum(final), len(rows) - max(known.stop - later, 0))
        known.extend(rows[known.stop - later :])
    return known.rows_from(start)
