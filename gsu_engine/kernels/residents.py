"""Who is resident and in which order they were last used: what every page pool has in common.

A pool is a NamedTuple with these arrays and its own. A user's record has at least `start` (position of the oldest
behaviour that is kept), `stop` (position of the next one to come), `older` and `newer`: records form a doubly linked
list from the least to the most recently used. Record 0 stands for "none".
"""

from typing import Any, Protocol

import numpy as np

from muse_stream.gsu_engine.arrays import I64, U8, U32, Flags
from muse_stream.gsu_engine.kernels import hashing
from muse_stream.gsu_engine.kernels.hashing import find_one, remove
from muse_stream.gsu_engine.kernels.jit import Int, Truth, inner, kernel

PAGE = 512  # slots: small enough that a short history wastes little, large enough that 100 000 are 196 links
# What `state` begins with; FREE is whatever the pool keeps its free pages by.
FREE, NEXT_PAGE, USED_PAGES, OLDEST, NEWEST, BEHAVIOURS, EVICTIONS = range(7)
STATE = 7

Records = Any  # a structured array, with its fields as attributes


class Residents(Protocol):
    """The arrays of a pool that know its users; the kernels change them in place."""

    @property
    def ids(self) -> I64:
        """`[users]` user id of a record; this and the next three: see `hashing`."""

    @property
    def tags(self) -> U8:
        """Tags of the buckets."""

    @property
    def numbers(self) -> U32:
        """Record numbers of the buckets."""

    @property
    def counters(self) -> I64:
        """Counters of the hash table."""

    @property
    def records(self) -> Records:
        """`[users]` structs."""

    @property
    def state(self) -> I64:
        """Numbers that the kernels change."""


@inner
def record_of(pool: Residents, user: Int) -> Int:
    """Record number of a resident user, 0 where there is none."""
    at = find_one(user, pool.ids, pool.tags, pool.numbers, pool.counters[hashing.SEED])
    return np.int64(pool.numbers[at]) if at >= 0 else np.int64(0)


@inner
def unlink(pool: Residents, record: Int) -> None:
    """Take a record out of the order of use."""
    older, newer = pool.records[record].older, pool.records[record].newer
    if older != 0:
        pool.records[older].newer = newer
    else:
        pool.state[OLDEST] = newer
    if newer != 0:
        pool.records[newer].older = older
    else:
        pool.state[NEWEST] = older


@inner
def link(pool: Residents, record: Int) -> None:
    """Make a record the most recently used."""
    newest = pool.state[NEWEST]
    pool.records[record].older = newest
    pool.records[record].newer = 0
    if newest != 0:
        pool.records[newest].newer = record
    else:
        pool.state[OLDEST] = record
    pool.state[NEWEST] = record


@inner
def forget(pool: Residents, record: Int) -> None:
    """Take a record out of use; its pages are the pool's business."""
    entry = pool.records[record]
    pool.state[BEHAVIOURS] -= entry.stop - entry.start
    unlink(pool, record)
    remove(record, pool.ids, pool.tags, pool.numbers, pool.counters)


@inner
def covers(pool: Residents, record: Int, start: Int, stop: Int) -> Truth:
    """Whether a user's pages hold all of `[start, stop)`."""
    entry = pool.records[record]
    return record != 0 and entry.start <= start and stop <= entry.stop


@kernel
def resident(pool: Residents, users: I64, out: Flags) -> None:
    """Which users are here."""
    for j in range(len(users)):
        out[j] = record_of(pool, users[j]) != 0


@kernel
def holds_all(pool: Residents, users: I64) -> bool:
    """Whether all of these users are here."""
    absent = 0
    for user in users:
        absent += record_of(pool, user) == 0
    return absent == 0
