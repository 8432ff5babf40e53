"""The shapes that other rooms' stats have, so that they can be handed over as they are.

Invariant: protocols only, read-only, and nothing here imports another room. What each field means is said by the room
that fills it.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class IngestBatch(Protocol):
    """What one batch of one topic partition did, told once it is retrievable; times in milliseconds since the epoch."""

    @property
    def topic(self) -> str:
        """Full topic name."""

    @property
    def serving(self) -> bool:
        """True for the owner of the partition, False for a standby copy."""

    @property
    def records(self) -> int:
        """Records read, rejected ones included."""

    @property
    def applied(self) -> int:
        """Rows written."""

    @property
    def duplicates(self) -> int:
        """Rows dropped by the duplicate window."""

    @property
    def erased(self) -> int:
        """Users erased."""

    @property
    def rejects(self) -> Mapping[str, int]:
        """Rejected records by reason."""

    @property
    def dead_letters(self) -> int:
        """Dead letters that were acknowledged."""

    @property
    def event_time_ms(self) -> NDArray[np.int64]:
        """Event times `[rows]`; empty where there are none."""

    @property
    def broker_time_ms(self) -> NDArray[np.int64]:
        """Broker times `[rows]`."""

    @property
    def visible_at_ms(self) -> int:
        """When the rows became retrievable."""

    @property
    def live(self) -> bool:
        """False while the partition replays what was there before: freshness means nothing then."""

    @property
    def decode_seconds(self) -> float:
        """Time to decode."""

    @property
    def store_seconds(self) -> float:
        """Time to write."""

    @property
    def engine_seconds(self) -> float:
        """Time to tell the engine."""


class StoreCondition(Protocol):
    """How the database of a store copes, since it was opened."""

    @property
    def write_seconds(self) -> float:
        """Time of all writes."""

    @property
    def stall_seconds(self) -> float:
        """Time of writes beyond what one usually takes."""

    @property
    def delayed(self) -> bool:
        """Whether writes are slowed down or stopped now."""

    @property
    def pending_compaction_bytes(self) -> int:
        """What is still to merge."""

    @property
    def background_errors(self) -> int:
        """Flushes and merges that failed."""


class StoreStats(Protocol):
    """One behaviour store since it was opened."""

    @property
    def disk_bytes(self) -> int:
        """Size of the table files."""

    @property
    def memtable_bytes(self) -> int:
        """Size of what is not flushed yet."""

    @property
    def behaviours(self) -> int:
        """Behaviours appended."""

    @property
    def put_bytes(self) -> int:
        """Bytes of behaviours handed to the database, merges included."""

    @property
    def merges(self) -> int:
        """Chunks made of open segments."""

    @property
    def cold_tails(self) -> int:
        """Users whose open segments had to be read back."""

    @property
    def window(self) -> int:
        """Event ids in the duplicate window."""

    @property
    def truncated(self) -> int:
        """Behaviours that the cap took out of their user's history."""

    @property
    def condition(self) -> StoreCondition:
        """How the database copes."""


class ItemStats(Protocol):
    """The local copy of the item log."""

    @property
    def position(self) -> int:
        """Next offset wanted."""

    @property
    def rows(self) -> int:
        """Rows written."""

    @property
    def disk_bytes(self) -> int:
        """Size of the table files."""


class TableReading(Protocol):
    """A vector table."""

    @property
    def space(self) -> str:
        """Vector space."""

    @property
    def rows(self) -> int:
        """Items with a vector."""

    @property
    def bytes(self) -> int:
        """Bytes in use."""

    @property
    def refused(self) -> int:
        """Vectors that found no room, since the start."""


class IndexReading(Protocol):
    """The item index."""

    @property
    def items(self) -> int:
        """Items with a slot."""

    @property
    def bytes(self) -> int:
        """Bytes in use."""

    @property
    def refused(self) -> int:
        """Items that found no slot, since the start, counted per occurrence."""


class PoolReading(Protocol):
    """Resident histories."""

    @property
    def users(self) -> int:
        """Resident users."""

    @property
    def behaviours(self) -> int:
        """Their behaviours."""

    @property
    def bytes(self) -> int:
        """Bytes in use."""

    @property
    def budget_bytes(self) -> int:
        """The bound on them."""

    @property
    def evictions(self) -> int:
        """Users that left for room, since the start."""


class PackedReading(Protocol):
    """Hot users' packed rows."""

    @property
    def users(self) -> int:
        """Users that have some."""

    @property
    def bytes(self) -> int:
        """Bytes in use."""

    @property
    def budget_bytes(self) -> int:
        """The bound on them."""

    @property
    def hits(self) -> int:
        """Histories searched in packed rows."""

    @property
    def misses(self) -> int:
        """Histories whose rows were gathered."""

    @property
    def evictions(self) -> int:
        """Users that left for room, since the start."""

    @property
    def answers(self) -> int:
        """Answers that stand."""

    @property
    def served(self) -> int:
        """Candidates that were answered by them."""

    @property
    def rows_scored(self) -> int:
        """New rows that were scored for them."""

    @property
    def refills(self) -> int:
        """Candidates that had to be searched for again."""


class DeviceReading(Protocol):
    """A GPU beside the CPU, since the start."""

    @property
    def name(self) -> str:
        """Model and driver."""

    @property
    def lost(self) -> str | None:
        """Why it answers no more; None while it does."""

    @property
    def histories(self) -> PoolReading:
        """Histories on it."""

    @property
    def vector_bytes(self) -> int:
        """Memory of the vectors."""

    @property
    def searches(self) -> int:
        """Search calls that it took part in."""

    @property
    def answered(self) -> int:
        """Pairs that it answered."""

    @property
    def elsewhere(self) -> Mapping[str, int]:
        """Pairs that the CPU answered, by reason."""

    @property
    def wait_seconds(self) -> float:
        """Time that searches waited for it."""


class EngineReading(Protocol):
    """A search engine since its start."""

    @property
    def backend(self) -> str:
        """Backend that searches."""

    @property
    def pool(self) -> PoolReading:
        """Resident histories."""

    @property
    def table(self) -> TableReading:
        """The vectors."""

    @property
    def index(self) -> IndexReading:
        """The item index."""

    @property
    def packed(self) -> PackedReading | None:
        """Packed rows; None where the backend keeps none."""

    @property
    def device(self) -> DeviceReading | None:
        """The GPU; None where there is none."""

    @property
    def hits(self) -> int:
        """Histories that were resident."""

    @property
    def misses(self) -> int:
        """Histories that were loaded."""

    @property
    def searches(self) -> int:
        """Search calls."""

    @property
    def candidates(self) -> int:
        """Candidates searched for."""

    @property
    def search_seconds(self) -> float:
        """Time inside the backend."""

    @property
    def load_seconds(self) -> float:
        """Time spent on loading."""
