"""A behaviours store's own account: how far it has read, from where, and by which rules.

Invariant: every WriteBatch that changes rows carries the progress that the change belongs to.

Keys (space 00, see `keys.py`; `layout` and `identity` in `database.py`):

    progress   3 x i64 LE: behaviours position, users position, watermark in ms (0 = no record yet)
    start      i64 LE: the behaviours offset at which the store began
    rules      JSON array of {offset, cap, duplicate_window, ttl_seconds}, oldest first
    undated    i64 LE: behaviours before this offset count as arrived when the store was at it (see `migration.py`)
    sweep      see `sweep.py`
"""

import struct
from dataclasses import dataclass, replace

from rocksdict import WriteBatch

from muse_stream.state.cursor import Cursor
from muse_stream.state.database import Database
from muse_stream.state.duplicates import DuplicateWindow
from muse_stream.state.keys import META
from muse_stream.state.rules import RuleChange, Rules, pack_rules, unpack_rules
from muse_stream.state.segments import cut, every_user
from muse_stream.state.sweep import Sweep

LAYOUT = "behaviours/2"
OLDER_LAYOUTS = ("behaviours/1", "behaviours/1-to-2")
"""Layouts that an opening converts, see `migration.py`."""

_PROGRESS_KEY = META + b"progress"
_START_KEY = META + b"start"
RULES_KEY = META + b"rules"
_PROGRESS = struct.Struct("<3q")
_UNDATED_KEY = META + b"undated"
_OFFSET = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a store has read.

    Attributes:
        position: Next behaviours offset wanted.
        users_position: Next users offset wanted.
        watermark_ms: Largest broker time so far, 0 before the first record.

    """

    position: int = 0
    users_position: int = 0
    watermark_ms: int = 0

    def put(self, out: WriteBatch) -> None:
        """Carry this progress in `out`."""
        out.put(_PROGRESS_KEY, _PROGRESS.pack(self.position, self.users_position, self.watermark_ms))

    @classmethod
    def read(cls, cursor: Cursor) -> "Progress":
        """The progress in the store; all zeros in one that has not begun."""
        raw = cursor.get(_PROGRESS_KEY)
        return cls(*_PROGRESS.unpack(raw)) if raw else cls()


def read_start(cursor: Cursor) -> int:
    """The behaviours offset at which the store began."""
    return _read_offset(cursor, _START_KEY)


def read_undated(cursor: Cursor) -> int:
    """The behaviours offset before which arrivals are not known; 0 where all are."""
    return _read_offset(cursor, _UNDATED_KEY)


def put_undated(out: WriteBatch, offset: int) -> None:
    """Say in `out` that arrivals before `offset` are not known."""
    out.put(_UNDATED_KEY, _OFFSET.pack(offset))


def read_rules(cursor: Cursor) -> list[RuleChange]:
    """The store's rules with their offsets, oldest first."""
    raw = cursor.get(RULES_KEY)
    return unpack_rules(raw) if raw else []


def begin(database: Database, rules: Rules, start_position: int | None) -> None:
    """Bring the meta of a store that was just opened up to date with what its opener asks for.

    A store that has read nothing takes `start_position`; another keeps its own. Rules that differ from the stored ones
    hold from the store's position on: what the former ones had removed is removed for good first, so that a larger cap,
    window or time to live does not bring back what happened to be on disk still. So rules count also where the next
    ones came before any record did; only those of a store that has read nothing are forgotten.
    """
    out = WriteBatch(raw_mode=True)
    with database.cursor() as cursor:
        progress, changes, start = Progress.read(cursor), read_rules(cursor), read_start(cursor)
        if start_position is not None and progress == Progress(position=start):
            start, progress = start_position, replace(progress, position=start_position)
            out.put(_START_KEY, _OFFSET.pack(start_position))
            progress.put(out)
        if progress.position == start:
            changes = []
        elif changes and changes[-1].rules != rules:
            _settle(cursor, changes[-1].rules, rules, progress.watermark_ms, out)
    if not changes or changes[-1].rules != rules:
        out.put(RULES_KEY, pack_rules([*changes, RuleChange(progress.position, rules)]))
    if len(out):
        database.write(out)


def _settle(cursor: Cursor, former: Rules, rules: Rules, watermark_ms: int, out: WriteBatch) -> None:
    oldest = former.oldest_seconds(watermark_ms)
    if rules.cap > former.cap or rules.oldest_seconds(watermark_ms) < oldest:
        for user in every_user(cursor).tolist():
            cut(cursor, user, former.cap, oldest, out)
    if rules.ttl_seconds != former.ttl_seconds:
        Sweep().put(out)
    if rules.duplicate_window != former.duplicate_window:
        DuplicateWindow(rules.duplicate_window).rewrite(out, DuplicateWindow.load(cursor, former.duplicate_window))


def _read_offset(cursor: Cursor, key: bytes) -> int:
    raw = cursor.get(key)
    return int(_OFFSET.unpack(raw)[0]) if raw else 0
