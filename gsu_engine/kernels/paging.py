"""Users' histories as chains of pages of slots, with a list of users in order of use.

Layout: page = 512 uint32 slots (2 KiB). The behaviour at absolute position p lies at index p % 512 of its page, so a
window needs no offsets: its first page is the (a // 512 - start // 512)-th of the chain. Consequences: 4 bytes each
plus at most two part-filled pages a user (8 % at 10 000 behaviours, under 1 % at 100 000); the oldest fall off page by
page; appending writes into the last page and links new ones, so nothing moves. Page 0 and record 0 stand for "none".

A free page is linked like a chain: giving a user's pages back is one link. Records form a doubly linked list from the
least to the most recently used.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import Any, NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import I64, U8, U32, Flags
from muse_stream.gsu_engine.kernels import hashing
from muse_stream.gsu_engine.kernels.hashing import find_one, insert, remove
from muse_stream.gsu_engine.kernels.jit import Int, Truth, inner, kernel

PAGE = 512  # slots: small enough that a short history wastes little, large enough that 100 000 are 196 links
RECORD = np.dtype(
    [
        ("start", "<i8"),  # position of the oldest behaviour that is kept
        ("stop", "<i8"),  # position of the next one to come
        ("head", "<u4"),
        ("tail", "<u4"),
        ("pages", "<u4"),
        ("older", "<u4"),
        ("newer", "<u4"),
    ],
    align=True,
)
FREE_PAGE, NEXT_PAGE, USED_PAGES, OLDEST, NEWEST, BEHAVIOURS, EVICTIONS = range(7)
STATE = 7


class Pages(NamedTuple):
    """All arrays of a pool; the kernels change them in place, under the pool's lock."""

    ids: I64  # [users] user id of a record, see hashing
    tags: U8
    numbers: U32
    counters: I64
    records: Any  # [users] RECORD
    slots: U32  # [pages, PAGE]
    next_page: U32  # [pages]
    state: I64


@inner
def record_of(pool: Pages, user: Int) -> Int:
    """Record number of a resident user, 0 where there is none."""
    at = find_one(user, pool.ids, pool.tags, pool.numbers, pool.counters[hashing.SEED])
    return np.int64(pool.numbers[at]) if at >= 0 else np.int64(0)


@inner
def unlink(pool: Pages, record: Int) -> None:
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
def link(pool: Pages, record: Int) -> None:
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
def leave(pool: Pages, record: Int) -> None:
    """The user leaves: pages and record are free at once."""
    entry = pool.records[record]
    if entry.head != 0:
        pool.next_page[entry.tail] = pool.state[FREE_PAGE]
        pool.state[FREE_PAGE] = entry.head
    pool.state[USED_PAGES] -= entry.pages
    pool.state[BEHAVIOURS] -= entry.stop - entry.start
    unlink(pool, record)
    remove(record, pool.ids, pool.tags, pool.numbers, pool.counters)


@inner
def make_room(pool: Pages, pages: Int, keep: Int) -> Truth:
    """Least recently used users leave, never record `keep`, until so many pages are free; False: not to be had."""
    total = len(pool.next_page) - 1
    if pages > total:
        return False
    while total - pool.state[USED_PAGES] < pages:
        victim = pool.state[OLDEST]
        if victim == keep and victim != 0:
            victim = np.int64(pool.records[victim].newer)
        if victim == 0:
            return False
        leave(pool, victim)
        pool.state[EVICTIONS] += 1
    return True


@inner
def add_page(pool: Pages, record: Int) -> None:
    """Link one free page at the end of a user's chain."""
    page = pool.state[FREE_PAGE]
    if page != 0:
        pool.state[FREE_PAGE] = pool.next_page[page]
    else:
        page = pool.state[NEXT_PAGE]
        pool.state[NEXT_PAGE] += 1
    if pool.records[record].head == 0:
        pool.records[record].head = page
    else:
        pool.next_page[pool.records[record].tail] = page
    pool.records[record].tail = page
    pool.records[record].pages += 1
    pool.state[USED_PAGES] += 1


@inner
def trim(pool: Pages, record: Int, cap: Int) -> None:
    """Free the pages that lie wholly before the last `cap` behaviours."""
    oldest = pool.records[record].stop - cap
    while pool.records[record].head != 0 and (pool.records[record].start // PAGE + 1) * PAGE <= oldest:
        page = pool.records[record].head
        following = (pool.records[record].start // PAGE + 1) * PAGE
        pool.state[BEHAVIOURS] -= following - pool.records[record].start
        pool.records[record].start = following
        pool.records[record].head = pool.next_page[page] if page != pool.records[record].tail else 0
        pool.records[record].pages -= 1
        pool.state[USED_PAGES] -= 1
        pool.next_page[page] = pool.state[FREE_PAGE]
        pool.state[FREE_PAGE] = page


@inner
def extend(pool: Pages, record: Int, slots: U32, cap: Int) -> Truth:
    """Write new behaviours behind a user's last one; False: no room, the user has left."""
    stop = pool.records[record].stop
    held = pool.records[record].pages
    needed = (stop + len(slots) + PAGE - 1) // PAGE - pool.records[record].start // PAGE
    if needed > held and not make_room(pool, needed - held, record):
        leave(pool, record)
        pool.state[EVICTIONS] += 1
        return False
    for i in range(len(slots)):
        at = (stop + i) % PAGE
        if at == 0 or pool.records[record].head == 0:
            add_page(pool, record)
        pool.slots[pool.records[record].tail, at] = slots[i]
    pool.records[record].stop = stop + len(slots)
    pool.state[BEHAVIOURS] += len(slots)
    trim(pool, record, cap)
    return True


@kernel
def enter(pool: Pages, user: I64, start: Int, slots: U32, cap: Int) -> Truth:
    """A user comes in whole, in the place of what was held of them; False: no room for all of it."""
    record = record_of(pool, user[0])
    if record != 0:
        leave(pool, record)
    pages = (start + len(slots) + PAGE - 1) // PAGE - start // PAGE
    if len(slots) == 0 or not make_room(pool, pages, 0):
        return False
    number = np.zeros(1, np.uint32)
    insert(user, pool.ids, pool.tags, pool.numbers, pool.counters, number)
    record = np.int64(number[0])
    if record == 0:
        return False
    pool.records[record].start = start
    pool.records[record].stop = start
    pool.records[record].head = 0
    pool.records[record].tail = 0
    pool.records[record].pages = 0
    link(pool, record)
    return extend(pool, record, slots, cap)


@kernel
def append(pool: Pages, users: I64, starts: I64, bounds: I64, slots: U32, cap: Int) -> None:
    """Extend resident users; what is held already is skipped, and who has a gap leaves."""
    for j in range(len(users)):
        record = record_of(pool, users[j])
        if record == 0:
            continue
        known = pool.records[record].stop - starts[j]
        if known < 0:
            leave(pool, record)
        elif known < bounds[j + 1] - bounds[j]:
            extend(pool, record, slots[bounds[j] + known : bounds[j + 1]], cap)


@kernel
def drop(pool: Pages, users: I64) -> None:
    """Users leave."""
    for j in range(len(users)):
        record = record_of(pool, users[j])
        if record != 0:
            leave(pool, record)


@kernel
def resident(pool: Pages, users: I64, out: Flags) -> None:
    """Which users are here."""
    for j in range(len(users)):
        out[j] = record_of(pool, users[j]) != 0


@kernel
def holds_all(pool: Pages, users: I64) -> bool:
    """Whether all of these users are here."""
    absent = 0
    for user in users:
        absent += record_of(pool, user) == 0
    return absent == 0


@inner
def covers(pool: Pages, record: Int, start: Int, stop: Int) -> Truth:
    """Whether a user's pages hold all of `[start, stop)`."""
    entry = pool.records[record]
    return record != 0 and entry.start <= start and stop <= entry.stop


@inner
def copy_window(pool: Pages, record: Int, start: Int, stop: Int, out: U32) -> None:
    """Write the slots of `[start, stop)` to `out`, oldest first."""
    page = pool.records[record].head
    for _ in range(start // PAGE - pool.records[record].start // PAGE):
        page = pool.next_page[page]
    at = start
    while at < stop:
        end = min((at // PAGE + 1) * PAGE, stop)
        for i in range(at, end):
            out[i - start] = pool.slots[page, i % PAGE]
        page = pool.next_page[page]
        at = end


@kernel
def copy_windows(pool: Pages, users: I64, starts: I64, stops: I64, offsets: I64, out: U32, found: Flags) -> None:
    """Copy each user's window to `out[offsets[j]:]` and mark the user as just used; `found` = was held whole."""
    for j in range(len(users)):
        record = record_of(pool, users[j])
        found[j] = covers(pool, record, starts[j], stops[j])
        if found[j]:
            copy_window(pool, record, starts[j], stops[j], out[offsets[j] :])
            unlink(pool, record)
            link(pool, record)
