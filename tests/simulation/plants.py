"""Bugs to plant, each at one seam: what the simulation and the audit are there to find.

Invariant: a plant changes one behaviour and nothing else, for the length of a `with` block.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from muse_stream.gsu_engine.pool import HistoryPool
from muse_stream.state import meta as meta_module
from muse_stream.state import moment as moment_module
from muse_stream.state import store as store_module
from muse_stream.state import sweep as sweep_module
from muse_stream.state.duplicates import DuplicateWindow
from muse_stream.state.keys import segment_key
from muse_stream.state.meta import Progress
from muse_stream.state.rules import Rules
from muse_stream.state.segments import last_segment
from muse_stream.state.store import BehaviourStore
from muse_stream.state.tails import Tails
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.letters import Delivery
from tests.simulation.log import MARKER, SimLog
from tests.simulation.worker import TellEngine

Plant = AbstractContextManager[object]


def _batch() -> Any:
    """An empty batch of the kind that `state` writes in this world."""
    return vars(store_module)["WriteBatch"](raw_mode=True)


def position_outside_the_batch() -> Plant:
    """Rows first, then the position, in two writes."""
    written = BehaviourStore._write

    def write(store: BehaviourStore, out: Any, progress: Progress) -> None:
        written(store, out, store._progress)
        written(store, _batch(), progress)

    return mock.patch.object(BehaviourStore, "_write", write)


def position_before_the_rows() -> Plant:
    """The position first, then the rows."""
    written = BehaviourStore._write

    def write(store: BehaviourStore, out: Any, progress: Progress) -> None:
        written(store, _batch(), progress)
        written(store, out, progress)

    return mock.patch.object(BehaviourStore, "_write", write)


def duplicate_window_in_memory_only() -> Plant:
    """What was sent twice is known until the next restart."""
    return mock.patch.object(DuplicateWindow, "write", return_value=None)


def trim_that_forgets_the_pool() -> Plant:
    """Stores keep the cap, the pool keeps everything."""
    made = HistoryPool.__init__

    def make(pool: HistoryPool, budget_bytes: int, cap: int) -> None:
        made(pool, budget_bytes, 2**40)

    return mock.patch.object(HistoryPool, "__init__", make)


def erasure_that_forgets_the_pool() -> Plant:
    """Stores erase users, the pool keeps them."""
    return mock.patch.object(TellEngine, "drop", return_value=None)


def pool_that_misses_appends() -> Plant:
    """Now and then the first user of a batch is left out when the engine is told."""
    appended = TellEngine.append

    def append(engine: TellEngine, users: Any, starts: Any, bounds: Any, items: Any) -> None:
        if len(users) == 1 or starts[0] % 5:
            appended(engine, users, starts, bounds, items)
        else:
            appended(engine, users[1:], starts[1:], bounds[1:] - bounds[1], items[bounds[1] :])

    return mock.patch.object(TellEngine, "append", append)


@contextmanager
def reader_that_is_not_read_committed() -> Iterator[None]:
    """Records of open and aborted transactions are delivered like all others."""

    def visible(log: SimLog, at: tuple[str, int], begin: int, end: int) -> list[Any]:
        entries = log.everything.get(at, [])[begin:end]
        return [entry.record for entry in entries if entry.state != MARKER]

    def stable(log: SimLog, at: tuple[str, int]) -> int:
        return len(log.everything.get(at, []))

    with mock.patch.object(SimLog, "delivered", visible), mock.patch.object(SimLog, "readable", stable):
        yield


def dead_letters_after_the_position() -> Plant:
    """The position passes rejects whose dead letters nobody has acknowledged."""
    return mock.patch.object(Delivery, "settled", return_value=True)


def letters_below_the_store_only() -> Plant:
    """A new owner starts its dead letters at its own position, whatever the group has committed."""
    served = Cursor.serve
    return mock.patch.object(Cursor, "serve", lambda cursor, committed, begin: served(cursor, None, begin))


def erased_numbers_are_given_again() -> Plant:
    """An erased user without new behaviours leaves no tombstone."""
    written = vars(store_module)["write_append"]

    def write(cursor: Any, groups: Any, plan: Any, out: Any) -> int:
        size: int = written(cursor, groups, plan, out)
        for group in np.flatnonzero(groups.erased & (groups.counts == 0)).tolist():
            out.delete(segment_key(int(groups.users[group]), int(plan.starts[group])))
        return size

    return mock.patch.object(store_module, "write_append", write)


def time_to_live_by_the_wall_clock() -> Plant:
    """Behaviours are as old as the clock of this machine says, not the log's."""
    far = 4_000_000_000_000
    return mock.patch.object(Rules, "oldest_seconds", lambda rules, now_ms: rules.ttl_seconds and far // 1_000)


def arrivals_by_the_end_of_the_batch() -> Plant:
    """All rows of a batch count as arrived with its last one."""

    def late(batch: Any, watermark_ms: int) -> Any:
        return np.full(len(batch), max(watermark_ms, *batch.broker_time_ms.tolist(), 0) // 1_000, np.uint32)

    return mock.patch.object(store_module, "arrivals", late)


def arrivals_that_go_back() -> Plant:
    """A record's own broker time counts, also where a later one came before."""
    return mock.patch.object(
        store_module, "arrivals", lambda batch, _: (np.maximum(batch.broker_time_ms, 0) // 1_000).astype(np.uint32)
    )


def longer_life_brings_back() -> Plant:
    """A change of rules leaves on disk what the former time to live hid."""
    settled = vars(meta_module)["_settle"]

    def settle(cursor: Any, former: Rules, rules: Rules, watermark_ms: int, out: Any) -> None:
        settled(cursor, replace(former, ttl_seconds=None), replace(rules, ttl_seconds=None), watermark_ms, out)

    return mock.patch.object(meta_module, "_settle", settle)


def reads_that_show_what_expired() -> Plant:
    """Expired behaviours show until they leave the disk."""
    read = vars(moment_module)["_read_sequence"]
    return mock.patch.object(
        moment_module, "_read_sequence", lambda cursor, user, count, _, known: read(cursor, user, count, 0, known)
    )


def sweep_that_forgets_numbers() -> Plant:
    """Of a user of whom all has expired nothing is left, not even the next number."""

    def trim(cursor: Any, user: int, oldest: int, out: Any) -> int:
        begin, end = segment_key(user, 0), segment_key(user, 2**64 - 1)
        for key in cursor.keys(begin, end):
            out.delete(key)
        return sum(last_segment(cursor, user) or (0, 0))

    return mock.patch.object(sweep_module, "_trim", trim)


def sweep_that_memory_does_not_hear_of() -> Plant:
    """Rows that were swept still count as pending in memory."""
    return mock.patch.object(Tails, "raise_heads", return_value=None)


PLANTS: dict[str, Callable[[], Plant]] = {
    make.__name__: make
    for make in (
        position_outside_the_batch,
        position_before_the_rows,
        duplicate_window_in_memory_only,
        trim_that_forgets_the_pool,
        erasure_that_forgets_the_pool,
        pool_that_misses_appends,
        reader_that_is_not_read_committed,
        dead_letters_after_the_position,
        letters_below_the_store_only,
        erased_numbers_are_given_again,
        time_to_live_by_the_wall_clock,
        arrivals_by_the_end_of_the_batch,
        arrivals_that_go_back,
        longer_life_brings_back,
        reads_that_show_what_expired,
        sweep_that_forgets_numbers,
        sweep_that_memory_does_not_hear_of,
    )
}
