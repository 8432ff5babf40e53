"""How behaviours lie on disk: open segments per batch, merged into chunks, trimmed at the head.

Invariant: what is on disk follows from the batches alone, not from what is cached in memory; a user's segments are
contiguous, and what is missing at the head is not shown: it lies before the cap, or it expired.

An append puts one key per user and batch (an open segment). When a user's open segments and new rows reach 256 rows,
they become one chunk under the first open segment's key, and the other keys go, in the same batch. A value of 256 rows
or more is a chunk whoever wrote it, so the open segments are those after a user's last chunk. Each row is thus written
about twice (measured with 21-byte rows: write amplification 4.3; rewriting the tail chunk at each append: 40),
and a read of 100 000 rows meets 400 keys, not 100 000. At the same moment whole segments before the last `cap` rows are
deleted, and those that have expired; reads hide the rest. Who appends no more is met by the sweep, see `sweep.py`.
Deletes are one by one: RocksDB re-sorts a memtable's range deletes at each new iterator.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rocksdict import WriteBatch

from muse_stream.state.columns import BEHAVIOUR
from muse_stream.state.cursor import Cursor
from muse_stream.state.errors import DamagedStoreError
from muse_stream.state.grouping import Groups
from muse_stream.state.keys import (
    BEHAVIOURS,
    LAST_START,
    ROW_BYTES,
    USER_PREFIX_BYTES,
    segment_key,
    segment_keys,
    split_segment_key,
)

CHUNK_ROWS = 256
ARRIVAL_BYTES = BEHAVIOUR["arrived_seconds"].itemsize

Ints = NDArray[np.int64]


def last_segment(cursor: Cursor, user: int, at_most: int = LAST_START) -> tuple[int, int] | None:
    """(start, rows) of the user's last segment that starts at or before `at_most`; the cursor stays on it."""
    key = segment_key(user, at_most)
    found = cursor.at_or_before(key)
    if found is None or found[:USER_PREFIX_BYTES] != key[:USER_PREFIX_BYTES]:
        return None
    return split_segment_key(found)[1], len(cursor.value()) // ROW_BYTES


def first_start(cursor: Cursor, user: int, floor: int) -> int:
    """Where the segment that holds `floor` starts, or the user's first one if that starts later; the user exists."""
    found = last_segment(cursor, user, floor)
    if found is not None:
        return found[0]
    key = cursor.at_or_after(segment_key(user, 0))
    return split_segment_key(key)[1] if key else floor


def require_whole(cursor: Cursor, start: int, stop: int, rows: int) -> None:
    """Raise DamagedStoreError unless the `rows` read are all of [start, stop)."""
    if rows != stop - start:
        found = f"a user has {rows} behaviours from {start} on, but the next number is {stop}."
        raise DamagedStoreError(
            cursor.path, found, "move the directory away and replay the log, or restore a snapshot."
        )


def read_tail(cursor: Cursor, user: int) -> tuple[int, int]:
    """(next sequence number, rows in open segments) of a user, from the store; (0, 0) for an unknown one."""
    found = last_segment(cursor, user)
    if found is None:
        return 0, 0
    start, rows = found
    stop = start + rows
    prefix = segment_key(user, 0)[:USER_PREFIX_BYTES]
    opened = stop
    while rows < CHUNK_ROWS:
        opened = start
        key = cursor.previous()
        if key is None or key[:USER_PREFIX_BYTES] != prefix:
            break
        start, rows = split_segment_key(key)[1], len(cursor.value()) // ROW_BYTES
    return stop, stop - opened


@dataclass(slots=True)
class AppendPlan:
    """What an append does to each group's user.

    Attributes:
        before: `[3, g] int64` next, pending and head before the append, see `tails.Tails`.
        starts: `[g] int64` sequence number of the first live new row.
        tails: `[3, g] int64` the same after it.
        merges: Groups whose open segments become a chunk with the new rows.
        trims: Groups that complete a chunk while whole segments may be dead.
        resets: Groups whose stored rows are all dead: erased, or rows that came at once are dead already.
        cap: Rows before the last so many are dead.
        oldest: Rows that arrived before are dead, seconds.

    """

    before: Ints
    starts: Ints
    tails: Ints
    merges: Ints
    trims: Ints
    resets: Ints
    cap: int
    oldest: int


def plan_append(groups: Groups, tails: Ints, cap: int, oldest: int) -> AppendPlan:
    """Decide per group from its tail `[3, g]` before the append; rows that arrived before `oldest` are dead."""
    follow, pending, head = tails
    counts = groups.counts
    starts = follow + groups.skipped
    stops = starts + counts
    reset = groups.erased | (groups.skipped > 0)
    rows = np.where(reset, counts, pending + counts)
    completes = rows >= CHUNK_ROWS
    return AppendPlan(
        before=tails,
        starts=starts,
        tails=np.stack([stops, np.where(completes, 0, rows), np.where(reset, starts, head)]),
        merges=np.flatnonzero(completes & ~reset & (pending > 0)),
        trims=np.flatnonzero(completes & ~reset & ((stops - cap > head) | ((oldest > 0) & (follow - pending > head)))),
        resets=np.flatnonzero(reset),
        cap=cap,
        oldest=oldest,
    )


def truncated(groups: Groups, plan: AppendPlan) -> int:
    """How many live behaviours the cap takes out of the sequences of users who are not erased.

    What had expired and was still on disk counts too: nothing here reads it.
    """
    follow, _, head = plan.before
    first = np.maximum(head, follow - plan.cap)
    past = np.maximum(plan.tails[0] - plan.cap - first, 0)
    return int(past[~groups.erased].sum())


def write_append(cursor: Cursor, groups: Groups, plan: AppendPlan, out: WriteBatch) -> int:
    """Put the groups' rows into `out` as planned, reading back what is merged; bytes of rows put.

    Sets the heads of trimmed users in `plan.tails`.
    """
    keys = segment_keys(groups.users, plan.starts)
    packed = groups.behaviours.tobytes()
    edges = (groups.bounds * ROW_BYTES).tolist()
    values = [packed[start:stop] for start, stop in pairwise(edges)]
    users = groups.users.tolist()
    for group in plan.resets.tolist():
        _delete_all(cursor, users[group], out)
    for group in plan.trims.tolist():
        follow, pending, head = plan.before[:, group].tolist()
        floor = min(int(plan.tails[0, group]) - plan.cap, follow - pending)
        if floor > head:
            head = trim(cursor, users[group], head, floor, out)
        plan.tails[2, group] = trim_expired(
            cursor, users[group], out, head=head, floor=follow - pending, oldest=plan.oldest
        )
    for group in plan.merges.tolist():
        follow, pending, _ = plan.before[:, group].tolist()
        keys[group] = segment_key(users[group], follow - pending)
        values[group] = _take(cursor, users[group], follow - pending, follow, out) + values[group]
    put = out.put
    for key, value in zip(keys, values, strict=True):
        put(key, value)
    return sum(map(len, values))


def trim(cursor: Cursor, user: int, head: int, floor: int, out: WriteBatch) -> int:
    """Delete in `out` the segments of `user` from `head` up to the one that holds `floor`; where that one starts."""
    found = last_segment(cursor, user, floor)
    if found is None:
        return head
    for key in cursor.keys(segment_key(user, head), segment_key(user, found[0])):
        out.delete(key)
    return found[0]


def _take(cursor: Cursor, user: int, first: int, follow: int, out: WriteBatch) -> bytes:
    """The rows [first, follow) of the user's open segments, whose keys are deleted."""
    segments = cursor.items(segment_key(user, first), segment_key(user, LAST_START))
    rows = b"".join([value for _, value in segments])
    require_whole(cursor, first, follow, len(rows) // ROW_BYTES)
    for key, _ in segments:
        out.delete(key)
    return rows


def _delete_all(cursor: Cursor, user: int, out: WriteBatch) -> None:
    for key in cursor.keys(segment_key(user, 0), segment_key(user, LAST_START)):
        out.delete(key)


def trim_expired(cursor: Cursor, user: int, out: WriteBatch, *, head: int, floor: int, oldest: int) -> int:
    """Delete in `out` the segments of `user` from `head` to `floor` that have expired whole; where the rest starts."""
    for start, value in segments_from(cursor, user, head) if oldest else ():
        if start >= floor or newest_arrival(value) >= oldest:
            return start
        out.delete(segment_key(user, start))
        head = start + len(value) // ROW_BYTES
    return head


def segments_from(cursor: Cursor, user: int, start: int) -> Iterator[tuple[int, bytes]]:
    """(start, rows) of the user's segments at or after `start`, one seek each."""
    prefix = segment_key(user, 0)[:USER_PREFIX_BYTES]
    key = cursor.at_or_after(segment_key(user, start))
    while key is not None and key[:USER_PREFIX_BYTES] == prefix:
        value = cursor.value()
        start = split_segment_key(key)[1]
        yield start, value
        key = cursor.at_or_after(segment_key(user, start + max(len(value) // ROW_BYTES, 1)))


def newest_arrival(value: bytes) -> int:
    """Arrival of the last row of a segment, in seconds; that of a tombstone is later than all."""
    return int.from_bytes(value[-ARRIVAL_BYTES:] or b"\xff" * 8, "little")


def first_alive(rows: NDArray[np.void], oldest: int) -> int:
    """How many of the rows, which are a user's in order, arrived before `oldest`."""
    return bisect_left(rows["arrived_seconds"], oldest) if oldest else 0


def cut(cursor: Cursor, user: int, cap: int, oldest: int, out: WriteBatch) -> None:
    """Delete in `out` everything of `user` but the last `cap` rows that arrived at `oldest` or later."""
    final = last_segment(cursor, user)
    stop = sum(final) if final else 0
    for start, value in segments_from(cursor, user, 0):
        rows = np.frombuffer(value, BEHAVIOUR)
        dead = max(stop - cap - start, first_alive(rows, oldest))
        if dead <= 0:
            return
        out.delete(segment_key(user, start))
        if dead < len(rows):
            out.put(segment_key(user, start + dead), value[dead * ROW_BYTES :])
            return
    if final:
        out.put(segment_key(user, stop), b"")


def every_user(cursor: Cursor) -> Ints:
    """All users with a behaviours key, ascending; one seek each."""
    users: list[int] = []
    key = cursor.at_or_after(BEHAVIOURS)
    while key is not None and key[:1] == BEHAVIOURS:
        users.append(split_segment_key(key)[0])
        key = cursor.at_or_after(segment_key(users[-1], LAST_START))
    return np.array(users, np.int64)
