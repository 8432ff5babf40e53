"""Resident users' histories on the device, under a byte budget.

Layout, on the device: pages `[pages, 512] uint32` of slots, and `page_table [records, ring] uint32`. The behaviour at
absolute position p of record r lies at index p % 512 of page `page_table[r, p // 512 % ring]`. Page 0 and record 0
stand for "none". The host knows who is here and which pages are whose (see `kernels.rings`), and decides everything.

Invariant: as `HistoryPool`'s: what is held of a user is a gapless run, equal to what `state` holds at those positions;
whoever cannot be kept so leaves. What a search was told by `find` stays true for it, because the device works in one
order: pages are only written again by what was asked of it later.

Budget: 1/32 of it, at the most, is page table, and the rest pages: 2 048 bytes a page, 4 * ring a user. With cap
100 000, ring is 198 and a full history takes 196 or 197 pages, so 128e9 bytes hold 307 000 of them; or 5.05 million
users of 12 pages (6 000 behaviours) on average, and no more than these however short they are: then the least recently
used leave although there are free pages. The host pays 4 * ring + 51 bytes a user and 4 a page besides.
"""

import numpy as np

from muse_stream.gsu_engine import residents
from muse_stream.gsu_engine.arrays import I64, U32, Flags, reserve
from muse_stream.gsu_engine.cuda.device import Buffer, Device
from muse_stream.gsu_engine.cuda.layout import APPEND, LINK, RUN
from muse_stream.gsu_engine.cuda.parcel import Packed, Parcel
from muse_stream.gsu_engine.errors import BudgetError
from muse_stream.gsu_engine.kernels import hashing, rings
from muse_stream.gsu_engine.kernels.residents import BEHAVIOURS, EVICTIONS, PAGE, USED_PAGES, holds_all
from muse_stream.gsu_engine.kernels.rings import LINKS, RECORD, RUNS, SLOTS, STATE, Rings, Work
from muse_stream.gsu_engine.stats import PoolStats

PAGE_BYTES = 4 * PAGE
TABLE_PART = 32  # one part in so many of the budget is page table, at the most
# A warp takes a run of up to 512 slots; more blocks than these find no room on a multiprocessor at once.
THREADS, WARPS = 256, 8
BLOCKS_EACH = 8


def ring_of(cap: int) -> int:
    """Pages in a user's ring: those that a run of `cap` behaviours can touch, and one to spare."""
    return -(-cap // PAGE) + 2


def capacity(budget_bytes: int, cap: int) -> tuple[int, int]:
    """Pages, and users, that a budget pays for (page 0 and record 0 are paid for besides)."""
    record_bytes = 4 * ring_of(cap)
    users = min(budget_bytes // TABLE_PART // record_bytes, budget_bytes // (PAGE_BYTES + record_bytes))
    users = max(users - 1, 1)
    return (budget_bytes - (users + 1) * record_bytes) // PAGE_BYTES - 1, users


class DeviceHistories:
    """Page pool of users' slots on a device. Not thread-safe."""

    def __init__(self, device: Device, budget_bytes: int, cap: int) -> None:
        """Allocate all of it.

        Raises:
            BudgetError: It pays for less than one page and one user, or `cap` is below 1.
            DeviceMemoryError: The device has not so much left.

        """
        pages, users = capacity(budget_bytes, cap)
        if pages < 1 or cap < 1:
            least = 2 * (PAGE_BYTES + 4 * ring_of(cap))
            message = f"device budget {budget_bytes} bytes, cap {cap}: expected >= {least}, >= 1"
            raise BudgetError(message)
        self.budget_bytes = budget_bytes
        self.cap = cap
        self.ring = ring_of(cap)
        self.departures = 0
        self.pages: Buffer = device.allocate((pages + 1) * PAGE_BYTES)
        self.page_table: Buffer = device.allocate((users + 1) * self.ring * 4)
        self._device = device
        self._parcel = Parcel(device)
        self._rings = Rings(
            **residents.columns(users, RECORD, STATE),
            page_table=reserve((users + 1, self.ring), np.uint32),
            free=reserve((pages,), np.uint32),
        )

    def resident(self, users: I64) -> Flags:
        """`[n] bool`: which users are held."""
        return residents.resident(self._rings, users)

    def holds_all(self, users: I64) -> bool:
        """Whether all of these users are held."""
        return holds_all(self._rings, users)

    def enter(self, user: int, start: int, slots: U32, *, departures: int) -> bool:
        """Hold a user whose live history starts at position `start`; arguments and result as `HistoryPool.enter`.

        Raises:
            DeviceMemoryError: There was no room for the upload; the user is not held.
            DeviceLostError: The device failed.

        """
        if departures != self.departures:
            return False
        self._rings = residents.with_room(self._rings)
        surplus = max(len(slots) - self.cap, 0)
        work = _work_for(1, len(slots) - surplus)
        who = np.array([user], np.int64)
        if not rings.enter(self._rings, who, start + surplus, slots[surplus:], self.cap, work):
            return False
        self._send(work, who)
        return True

    def append(self, users: I64, starts: I64, bounds: I64, slots: U32, *, departures: int) -> bool:
        """Add behaviours behind those held, in one launch; arguments and result as `HistoryPool.append`.

        Raises:
            DeviceMemoryError: There was no room for the upload; none of these users is held any more.
            DeviceLostError: The device failed.

        """
        if departures != self.departures:
            return False
        work = _work_for(len(users), len(slots))
        rings.append(self._rings, users, starts, bounds, slots, self.cap, work)
        if work.counts[RUNS]:
            self._send(work, users)
        return True

    def _send(self, work: Work, users: I64) -> None:
        """Do on the device what was written down; `users` leave where that fails."""
        runs, links = int(work.counts[RUNS]), int(work.counts[LINKS])
        struct = np.zeros(1, APPEND)
        struct["pages"], struct["page_table"] = self.pages.address, self.page_table.address
        struct["run_count"], struct["link_count"] = runs, links
        parts = {"runs": work.runs[:runs], "slots": work.slots[: work.counts[SLOTS]], "links": work.links[:links]}
        blocks = min(-(-runs // WARPS), BLOCKS_EACH * self._device.multiprocessors)
        try:
            self._device.launch("append", blocks, THREADS, 0, self._parcel.send(Packed.of(struct, parts)))
        except BaseException:
            rings.drop(self._rings, users)
            raise

    def drop(self, users: I64) -> None:
        """Forget users."""
        self.departures += 1
        rings.drop(self._rings, users)

    def clear(self) -> None:
        """Forget everybody."""
        self.drop(residents.everybody(self._rings))

    def find(self, users: I64, starts: I64, stops: I64) -> I64:
        """`[P] int64` record numbers of the pairs whose window `[starts, stops)` is held whole, 0 for the others.

        Their users are marked as just used. A number is valid for what is asked of the device before the next change.
        """
        out = np.empty(len(users), np.int64)
        rings.find(self._rings, users, starts, stops, out)
        return out

    def slots_of(self, user: int, start: int, stop: int) -> U32 | None:
        """What the device holds at `[start, stop)` of a user, `[n] uint32`; None where it does not hold all of it."""
        record = int(self.find(np.array([user]), np.array([start]), np.array([stop]))[0])
        if record == 0:
            return None
        ring = self._device.read(self.page_table, record * self.ring * 4, self.ring * 4).wait().view(np.uint32)
        copies, at = [], start
        while at < stop:
            end = min((at // PAGE + 1) * PAGE, stop)
            page = int(ring[at // PAGE % self.ring])
            copies.append(self._device.read(self.pages, page * PAGE_BYTES + at % PAGE * 4, (end - at) * 4))
            at = end
        parts = [copy.wait() for copy in copies]  # all are asked for before one is waited for
        return np.concatenate([np.empty(0, np.uint8), *parts]).view(np.uint32)

    def spans(self) -> tuple[I64, I64, I64]:
        """As `HistoryPool.spans`."""
        return residents.spans(self._rings)

    def stats(self) -> PoolStats:
        """Counts, and bytes on the device, at this moment."""
        users, state = int(self._rings.counters[hashing.COUNT]), self._rings.state
        return PoolStats(
            users=users,
            behaviours=int(state[BEHAVIOURS]),
            bytes=int(state[USED_PAGES]) * PAGE_BYTES + users * self.ring * 4,
            budget_bytes=self.budget_bytes,
            evictions=int(state[EVICTIONS]),
        )


def _work_for(users: int, slots: int) -> Work:
    """Room for all that so many users with so many slots can ask for."""
    pages = slots // PAGE + 2 * users
    return Work(
        runs=np.empty(pages, RUN),
        links=np.empty(pages, LINK),
        slots=np.empty(slots, np.uint32),
        counts=np.zeros(3, np.int64),
    )
