"""What the engine tells about itself: plain values, read at any time; monitoring subscribes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Elsewhere(StrEnum):
    """Why the CPU answers a pair although there is a device."""

    NO_ROOM = "no_room"
    """The history is larger than the device's budget."""
    DROPPED = "dropped"
    """The user was dropped within the last minute and is not kept."""
    LEFT = "left"
    """The user was there and left before the search began: for others, or because it was erased or slots were freed."""
    MEMORY = "memory"
    """The device had no memory left for the search itself."""
    LOST = "lost"
    """The device failed."""


@dataclass(frozen=True, slots=True)
class IndexStats:
    """The item index.

    Attributes:
        items: Items with a slot.
        max_items: The bound on them.
        bytes: Bytes in use, without the per-space row arrays.
        refused: How often an item found no room (counted per occurrence).

    """

    items: int
    max_items: int
    bytes: int
    refused: int


@dataclass(frozen=True, slots=True)
class TableStats:
    """One vector table.

    Attributes:
        space: Name of the vector space.
        dimension: Width of a vector.
        rows: Items with a vector.
        max_rows: What the budget allows.
        bytes: Bytes in use: rows, inverse norms and the slot -> row array.
        refused: Vectors that found no room.
        version: Number of changes so far.

    """

    space: str
    dimension: int
    rows: int
    max_rows: int
    bytes: int
    refused: int
    version: int


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The history pool.

    Attributes:
        users: Resident users.
        behaviours: Their behaviours.
        bytes: Bytes in use: pages, page chain, user records and their hash table.
        budget_bytes: The bound on them.
        evictions: Users that left for room.

    """

    users: int
    behaviours: int
    bytes: int
    budget_bytes: int
    evictions: int


@dataclass(frozen=True, slots=True)
class PackedStats:
    """Hot users' packed copies.

    Attributes:
        users: Users with a copy.
        bytes: Bytes that the copies take.
        budget_bytes: The bound on them.
        hits: Windows that were searched in a copy.
        misses: Windows whose rows were gathered.
        evictions: Copies that left for room.
        answers: Answers that stand.
        served: Candidates that were answered by them.
        rows_scored: Rows that came since, times candidates, that this took.
        refills: Candidates whose standing answer had lost too many rows, so that they were searched for.

    """

    users: int
    bytes: int
    budget_bytes: int
    hits: int
    misses: int
    evictions: int
    answers: int
    served: int
    rows_scored: int
    refills: int


@dataclass(frozen=True, slots=True)
class WayStats:
    """How small searches are done on the device.

    Attributes:
        chosen: By shape the way that was the fastest here, and what each took; empty before a rehearsal.
        graphs: Captured graphs that are held.
        replays: Searches, or parts of large ones, that a graph did.
        refused: Why the driver captures none; None where it does.

    """

    chosen: Mapping[str, str]
    graphs: int
    replays: int
    refused: str | None


@dataclass(frozen=True, slots=True)
class DeviceStats:
    """The device beside the CPU.

    Attributes:
        name: Model and driver.
        lost: Why it answers no more; None while it does.
        histories: Those on the device.
        vector_bytes: Device memory of the vectors.
        searches: Searches that it took part in.
        answered: Pairs that it answered.
        elsewhere: Pairs with rows and candidates that the CPU answered, by reason: `Elsewhere`.
        wait_seconds: Time that searches waited for it.
        ways: How it does small ones.

    """

    name: str
    lost: str | None
    histories: PoolStats
    vector_bytes: int
    searches: int
    answered: int
    elsewhere: Mapping[str, int]
    wait_seconds: float
    ways: WayStats


@dataclass(frozen=True, slots=True)
class EngineStats:
    """The engine since its start.

    Attributes:
        backend: Name of the backend that answers.
        why: Why this backend and no other.
        pool: Resident histories.
        table: The vectors.
        index: The item index.
        packed: Hot users' copies; None where the backend keeps none.
        device: The device that answers first; None where there is none.
        hits: Windows that were answered from what was resident.
        misses: Windows that were loaded from the source.
        searches: Calls of `search`.
        pairs: Pairs in them.
        candidates: Candidates in them.
        search_seconds: Time inside the backend.
        load_seconds: Time to load users from sources.

    """

    backend: str
    why: str
    pool: PoolStats
    table: TableStats
    index: IndexStats
    packed: PackedStats | None
    device: DeviceStats | None = field(default=None)
    hits: int = field(default=0)
    misses: int = field(default=0)
    searches: int = field(default=0)
    pairs: int = field(default=0)
    candidates: int = field(default=0)
    search_seconds: float = field(default=0.0)
    load_seconds: float = field(default=0.0)
