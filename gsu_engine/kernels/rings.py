"""Users' histories as rings of pages that lie elsewhere: what to write where, and who has to leave for it.

Layout: `page_table[record, n % ring]` is the page of positions 512 n to 512 n + 511. A run of at most `cap` behaviours
and what the oldest page keeps besides touches at most ceil(cap / 512) + 1 pages, fewer than a ring has, so the oldest
go by moving `start` and nothing shifts. Free pages lie on a stack; pages that were never used are not on it.

The kernels change what is known of users, and write down what has to happen to the pages (`Work`). All of one `Work`
may happen in any order, because no page is written in it for two users. For that, whoever was touched in this batch
stays until its end, unless their own rows find no room, which is settled before any of them is written down; rows that
would fall off at once are never written; and the users of a batch are distinct. So a page that one user loses may be
given to another in the same batch. Were it to wait for the next one, a full pool could not take in a single page.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import I64, U8, U32
from muse_stream.gsu_engine.kernels import hashing, residents
from muse_stream.gsu_engine.kernels.hashing import insert
from muse_stream.gsu_engine.kernels.jit import Int, Truth, inner, kernel
from muse_stream.gsu_engine.kernels.residents import (
    BEHAVIOURS,
    EVICTIONS,
    FREE,
    NEXT_PAGE,
    OLDEST,
    PAGE,
    USED_PAGES,
    covers,
    forget,
    link,
    record_of,
    unlink,
)

RECORD = np.dtype(
    [
        ("start", "<i8"),
        ("stop", "<i8"),
        ("batch", "<i8"),  # the last one that touched it
        ("older", "<u4"),
        ("newer", "<u4"),
    ],
    align=True,
)
# FREE: how many pages lie on the stack. VICTIM: who leaves next, unless the batch has touched them.
BATCH, VICTIM = residents.STATE, residents.STATE + 1
STATE = residents.STATE + 2
RUNS, LINKS, SLOTS = range(3)


class Rings(NamedTuple):
    """All arrays of a pool (`Residents` and its own); the kernels change them in place."""

    ids: I64
    tags: U8
    numbers: U32
    counters: I64
    records: Any  # [users] RECORD
    state: I64
    page_table: U32  # [users, ring]
    free: U32  # [pages]


class Work(NamedTuple):
    """What a batch asks of the device; `counts` says how much of each array is in use."""

    runs: NDArray[np.void]  # layout.RUN
    links: NDArray[np.void]  # layout.LINK
    slots: U32
    counts: I64  # RUNS, LINKS, SLOTS


@inner
def pages_end(start: Int, stop: Int) -> Int:
    """One above the last page index of a run; that of its first page is start // PAGE."""
    return (stop + PAGE - 1) // PAGE if stop > start else start // PAGE


@inner
def free_until(rings: Rings, record: Int, end: Int) -> None:
    """Pages of a user with an index below `end` are free at once."""
    ring = rings.page_table.shape[1]
    entry = rings.records[record]
    for n in range(entry.start // PAGE, min(end, pages_end(entry.start, entry.stop))):
        rings.free[rings.state[FREE]] = rings.page_table[record, n % ring]
        rings.state[FREE] += 1
        rings.state[USED_PAGES] -= 1


@inner
def leave(rings: Rings, record: Int) -> None:
    """The user leaves: pages and record are free at once."""
    entry = rings.records[record]
    free_until(rings, record, pages_end(entry.start, entry.stop))
    if rings.state[VICTIM] == record:
        rings.state[VICTIM] = entry.newer
    forget(rings, record)


@inner
def evict(rings: Rings) -> Truth:
    """The least recently used user whom this batch has not touched leaves; False: there is none."""
    victim = rings.state[VICTIM]
    while victim != 0 and rings.records[victim].batch == rings.state[BATCH]:
        victim = np.int64(rings.records[victim].newer)
    rings.state[VICTIM] = victim
    if victim == 0:
        return False
    leave(rings, victim)
    rings.state[EVICTIONS] += 1
    return True


@inner
def make_room(rings: Rings, pages: Int) -> Truth:
    """Users leave until so many pages are free; False: not to be had."""
    total = len(rings.free)
    if pages > total:
        return False
    while total - rings.state[USED_PAGES] < pages:
        if not evict(rings):
            return False
    return True


@inner
def begin(rings: Rings) -> None:
    """A new batch: it has touched nobody."""
    rings.state[BATCH] += 1
    rings.state[VICTIM] = rings.state[OLDEST]


@inner
def take_page(rings: Rings) -> Int:
    """A page that is free: there must be one."""
    rings.state[USED_PAGES] += 1
    if rings.state[FREE] > 0:
        rings.state[FREE] -= 1
        return np.int64(rings.free[rings.state[FREE]])
    rings.state[NEXT_PAGE] += 1
    return rings.state[NEXT_PAGE] - 1


@inner
def trim(rings: Rings, record: Int, oldest: Int) -> None:
    """The run begins at `oldest` at the earliest, but pages go whole; it may become empty, behind its former end."""
    entry = rings.records[record]
    first = oldest // PAGE * PAGE
    if first <= entry.start:
        return
    free_until(rings, record, first // PAGE)
    rings.state[BEHAVIOURS] -= min(first, entry.stop) - entry.start
    rings.records[record].stop = max(first, entry.stop)
    rings.records[record].start = first


@inner
def add_page(rings: Rings, record: Int, at: Int, work: Work) -> None:
    """Give a user the page of position `at`."""
    ring = rings.page_table.shape[1]
    page = take_page(rings)
    rings.page_table[record, at // PAGE % ring] = page
    number = work.counts[LINKS]
    work.links["at"][number] = record * ring + at // PAGE % ring
    work.links["page"][number] = page
    work.counts[LINKS] += 1


@inner
def add_run(rings: Rings, record: Int, at: Int, slots: U32, work: Work) -> None:
    """Write down new slots of one page."""
    page = np.uint64(rings.page_table[record, at // PAGE % rings.page_table.shape[1]])
    number, sent = work.counts[RUNS], work.counts[SLOTS]
    work.runs["to"][number] = page * np.uint64(PAGE) + np.uint64(at % PAGE)
    work.runs["from"][number] = sent
    work.runs["count"][number] = len(slots)
    work.slots[sent : sent + len(slots)] = slots
    work.counts[RUNS] += 1
    work.counts[SLOTS] += len(slots)


@inner
def extend(rings: Rings, record: Int, slots: U32, cap: Int, work: Work) -> Truth:
    """New behaviours behind a user's last one; False: no room, the user has left."""
    before = rings.records[record].stop
    stop = before + len(slots)
    rings.records[record].batch = rings.state[BATCH]
    trim(rings, record, stop - cap)
    at = rings.records[record].stop
    held = pages_end(rings.records[record].start, at)
    if not make_room(rings, pages_end(at, stop) - held):
        leave(rings, record)
        rings.state[EVICTIONS] += 1
        return False
    while at < stop:
        end = min((at // PAGE + 1) * PAGE, stop)
        if at // PAGE >= held:
            add_page(rings, record, at, work)
        add_run(rings, record, at, slots[at - before : end - before], work)
        at = end
    rings.state[BEHAVIOURS] += stop - rings.records[record].stop
    rings.records[record].stop = stop
    return True


@kernel
def enter(rings: Rings, user: I64, start: Int, slots: U32, cap: Int, work: Work) -> Truth:
    """A user comes in whole, in the place of what was held of them; False: no room for all of it."""
    begin(rings)
    held = record_of(rings, user[0])
    if held != 0:
        leave(rings, held)
    if len(slots) == 0 or not make_room(rings, pages_end(start, start + len(slots)) - start // PAGE):
        return False
    if rings.counters[hashing.FREE] == 0 and rings.counters[hashing.NEXT] == len(rings.ids):
        evict(rings)
    number = np.zeros(1, np.uint32)
    insert(user, rings.ids, rings.tags, rings.numbers, rings.counters, number)
    record = np.int64(number[0])
    if record == 0:
        return False
    rings.records[record].start = start
    rings.records[record].stop = start
    link(rings, record)
    return extend(rings, record, slots, cap, work)


@kernel
def append(rings: Rings, users: I64, starts: I64, bounds: I64, slots: U32, cap: Int, work: Work) -> None:
    """Extend resident users; what is held already is skipped, and who has a gap leaves."""
    begin(rings)
    for j in range(len(users)):
        record = record_of(rings, users[j])
        if record == 0:
            continue
        known = rings.records[record].stop - starts[j]
        if known < 0:
            leave(rings, record)
        elif known < bounds[j + 1] - bounds[j]:
            extend(rings, record, slots[bounds[j] + known : bounds[j + 1]], cap, work)


@kernel
def drop(rings: Rings, users: I64) -> None:
    """Users leave."""
    for j in range(len(users)):
        record = record_of(rings, users[j])
        if record != 0:
            leave(rings, record)


@kernel
def find(rings: Rings, users: I64, starts: I64, stops: I64, out: I64) -> None:
    """Record number of each user who holds `[starts[j], stops[j])` whole, else 0; marks them as just used."""
    for j in range(len(users)):
        record = record_of(rings, users[j])
        out[j] = 0
        if covers(rings, record, starts[j], stops[j]):
            out[j] = record
            unlink(rings, record)
            link(rings, record)
