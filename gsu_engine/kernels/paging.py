"""Users' histories as chains of pages of slots.

Layout: page = 512 uint32 slots (2 KiB). The behaviour at absolute position p lies at index p % 512 of its page, so a
window needs no offsets: its first page is the (a // 512 - start // 512)-th of the chain. Consequences: 4 bytes each
plus at most two part-filled pages a user (8 % at 10 000 behaviours, under 1 % at 100 000); the oldest fall off page by
page; appending writes into the last page and links new ones, so nothing moves. Page 0 and record 0 stand for "none".

A free page is linked like a chain: giving a user's pages back is one link.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import Any, NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import I64, U8, U32, Flags
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
        ("head", "<u4"),
        ("tail", "<u4"),
        ("pages", "<u4"),
        ("older", "<u4"),
        ("newer", "<u4"),
    ],
    align=True,
)


class Pages(NamedTuple):
    """All arrays of a pool (`Residents` and its own); the kernels change them in place, under the pool's lock."""

    ids: I64
    tags: U8
    numbers: U32
    counters: I64
    records: Any  # [users] RECORD
    state: I64
    slots: U32  # [pages, PAGE]
    next_page: U32  # [pages]


@inner
def leave(pool: Pages, record: Int) -> None:
    """The user leaves: pages and record are free at once."""
    entry = pool.records[record]
    if entry.head != 0:
        pool.next_page[entry.tail] = pool.state[FREE]
        pool.state[FREE] = entry.head
    pool.state[USED_PAGES] -= entry.pages
    forget(pool, record)


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
    page = pool.state[FREE]
    if page != 0:
        pool.state[FREE] = pool.next_page[page]
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
        pool.next_page[page] = pool.state[FREE]
        pool.state[FREE] = page


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
