"""What ingest needs from its neighbours, as small protocols: log reader, dead-letter sink, store, engine, vector table.

Invariant: nothing in this folder names a Kafka client, RocksDB or a search backend; the composition root (and the
simulation, with its in-memory log) passes in whatever fits these shapes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.columns import Appended, BehaviourBatch
from muse_stream.state.item_chunks import ItemBatch
from muse_stream.state.moment import Moment
from muse_stream.state.rules import StoreIdentity
from muse_stream.state.store import StoreStats
from muse_stream.streams.records import RecordBatch, TopicFacts
from muse_stream.streams.wire.rejects import Reject

I64 = NDArray[np.int64]
Rows = TypeVar("Rows")
Decode = Callable[[RecordBatch], tuple[Rows, Sequence[Reject]]]
"""A topic's codec: what could be used, as columns, and what could not."""
DecodeUsers = Callable[[RecordBatch], tuple[I64, Sequence[bytes | None], Sequence[Reject]]]
"""The codec of the users topic: ids, profiles (None forgets), and what could not be used."""


Partition = tuple[str, int]
"""Topic and partition, as the clients have it."""


class TopicPartition(NamedTuple):
    """The same, with names."""

    topic: str
    partition: int


class LogBounds(NamedTuple):
    """First offset that the broker still has, the last stable offset (what `read_committed` reaches), and when seen."""

    begin: int
    end: int
    seen_ms: int = 0


class LogReader(Protocol):
    """A `read_committed` consumer with manual assignment, used by one thread; contract: `streams.kafka.consumer`.

    Cut to what ingest uses, so that an in-memory log can stand in.
    """

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Replace the whole assignment; each partition is read from its offset, and not paused."""

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """Return what has arrived; an empty batch with a higher `next_offset` when only markers were passed."""

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these partitions until resumed."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Deliver again, from where delivery stopped."""

    def beginning_offsets(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """Ask the broker for the first offset that each log still has."""

    def end_offsets(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """Ask the broker for the last stable offsets: what `read_committed` can reach now."""

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """Ask the broker for the group's commits; partitions without one are left out."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit without waiting for the broker; for information, so a failure may go unseen."""

    def wakeup(self) -> None:
        """Make the `poll` that waits, or else the next one, return at once; the only call from other threads."""

    def close(self) -> None:
        """Leave the broker."""


class LogFacts(Protocol):
    """What a cluster says of itself and its topics; contract: `streams.kafka.facts`. Used by one thread."""

    def cluster_id(self) -> str:
        """Ask for the cluster's id."""

    def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        """Ask for ids and partition counts; topics that do not exist are left out."""

    def high_watermarks(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """Ask where the logs end, records of open transactions included."""

    def close(self) -> None:
        """Leave the broker."""


class DeadLetterSink(Protocol):
    """Produces dead letters with `acks=all`; never blocks for the broker."""

    def send(self, rejects: Sequence[Reject]) -> "Future[None]":
        """Send these; the future is done when the broker has acknowledged all, or has the first failure."""


class Store(Protocol):
    """The part of `state.store.BehaviourStore` that ingest uses; its contract is there."""

    @property
    def identity(self) -> StoreIdentity:
        """The log it is built from."""

    @property
    def position(self) -> int:
        """Next behaviours offset wanted."""

    @property
    def users_position(self) -> int:
        """Next users offset wanted."""

    def append(self, batch: BehaviourBatch, *, position: int, begin: int | None = None) -> Appended:
        """Write rows and position in one batch; raises where `begin`, the offset read from, leaves a hole."""

    def put_users(self, users: I64, profiles: Sequence[bytes | None], *, position: int) -> None:
        """Write the latest profiles and the position in one batch."""

    def moment(self) -> AbstractContextManager[Moment]:
        """Open a consistent snapshot."""

    def stats(self) -> StoreStats:
        """Figures of the store now."""

    def close(self) -> None:
        """Release the directory."""


class Restores(Protocol):
    """Puts a snapshot in the place of a store; contract: `worker.restoring`."""

    def missing(self, partition: int) -> bool:
        """Whether there is no store of the partition."""

    def start(self, partition: int, bounds: LogBounds) -> "Future[bool]":
        """Begin, elsewhere; True once a store that such a log continues is in its place."""


class HistorySink(Protocol):
    """What the engine is told; the contract is `gsu_engine`'s."""

    def append(self, users: I64, starts: I64, bounds: I64, items: I64) -> None:
        """Add new behaviours to resident users."""

    def drop(self, users: I64) -> None:
        """Forget erased users."""


class VectorSink(Protocol):
    """The vector table of one space, changed between searches."""

    def put(self, items: I64, vectors: NDArray[np.int8]) -> int:
        """Set the vectors `[n, d]` of these items; returns how many found no room."""

    def forget(self, items: I64) -> None:
        """Make these items absent."""


class ItemLog(Protocol):
    """The part of `state.items.ItemStore` that the item reader uses."""

    @property
    def identity(self) -> StoreIdentity:
        """The log it is built from."""

    @property
    def position(self) -> int:
        """Next items offset wanted; the table's version."""

    def append(self, batch: ItemBatch, *, position: int) -> None:
        """Write rows and position in one batch."""

    def load(self) -> Iterator[ItemBatch]:
        """The last row of each item, as batches."""

    def titles(self, items: I64) -> list[str | None]:
        """Titles for display."""

    def reopen(self) -> None:
        """Close the directory and open it again, after a refused write."""

    def close(self) -> None:
        """Release the directory."""
