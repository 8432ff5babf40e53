"""What ingest needs from its neighbours, as small protocols: log reader, dead-letter sink, store, engine, vector table.

Invariant: nothing in this folder names a Kafka client, RocksDB or a search backend; the composition root (and the
simulation, with its in-memory log) passes in whatever fits these shapes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.columns import Appended, BehaviourBatch
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.rejects import Reject

I64 = NDArray[np.int64]
Rows = TypeVar("Rows")
Decode = Callable[[RecordBatch], tuple[Rows, Sequence[Reject]]]
"""A topic's codec: what could be used, as columns, and what could not."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class LogBounds(NamedTuple):
    """First offset that the broker still has, and the last stable offset (what `read_committed` can reach)."""

    begin: int
    end: int


class LogReader(Protocol):
    """A `read_committed` consumer with manual assignment; used from one thread only."""

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Replace the whole assignment; reading goes on at the given offset of each partition."""

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """Return what has arrived; an empty batch with a higher `next_offset` when only markers were passed."""

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver nothing of these partitions until resumed."""

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver again, from where delivery stopped."""

    def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask the broker for the first offset that each log still has."""

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask the broker for the last stable offsets: what `read_committed` can reach now."""

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask the broker for the group's commits; partitions without one are left out."""

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit without waiting for the broker; for information, so a failure may go unseen."""

    def wakeup(self) -> None:
        """Make the `poll` that waits, or else the next one, return at once; the only call from other threads."""

    def close(self) -> None:
        """Leave the broker."""


class DeadLetterSink(Protocol):
    """Produces dead letters with `acks=all`; never blocks for the broker."""

    def send(self, rejects: Sequence[Reject]) -> "Future[None]":
        """Send these; the future is done when the broker has acknowledged all, or has the first failure."""


class Store(Protocol):
    """The part of `state.store.BehaviourStore` that ingest uses; its contract is there."""

    @property
    def position(self) -> int:
        """Next behaviours offset wanted."""

    @property
    def users_position(self) -> int:
        """Next users offset wanted."""

    def append(self, batch: BehaviourBatch, *, position: int) -> Appended:
        """Write rows and position in one batch."""

    def put_users(self, users: I64, profiles: Sequence[bytes | None], *, position: int) -> None:
        """Write the latest profiles and the position in one batch."""

    def moment(self) -> AbstractContextManager[Any]:
        """Open a consistent snapshot."""

    def close(self) -> None:
        """Release the directory."""


class HistorySink(Protocol):
    """What the engine is told; the contract is `gsu_engine`'s."""

    def append(self, users: I64, starts: I64, bounds: I64, items: I64) -> None:
        """Add new behaviours to resident users."""

    def drop(self, users: I64) -> None:
        """Forget erased users."""


class VectorSink(Protocol):
    """The vector table of one space, changed between searches."""

    def put(self, items: I64, vectors: NDArray[np.int8]) -> None:
        """Set the vectors `[n, d]` of these items."""

    def forget(self, items: I64) -> None:
        """Make these items absent."""


class SlotIndex(Protocol):
    """The item id -> slot table shared by the vector tables and the catalogue."""

    def slots(self, items: I64, *, create: bool) -> NDArray[np.uint32]:
        """Slot per item; 0 = unknown (never with `create`)."""


class ItemLog(Protocol):
    """The part of `state.items.ItemStore` that the item reader uses."""

    @property
    def position(self) -> int:
        """Next items offset wanted; the table's version."""

    def append(self, batch: Any, *, position: int) -> None:  # noqa: ANN401 - state's own batch
        """Write rows and position in one batch."""

    def load(self) -> Iterator[Any]:
        """Everything stored, as batches."""

    def titles(self, items: I64) -> list[str | None]:
        """Titles for display."""

    def close(self) -> None:
        """Release the directory."""
