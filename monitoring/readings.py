"""What the composition root tells monitoring about the state of things: plain values.

Invariant: nothing here imports another room, and nothing here is a Prometheus object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muse_stream.monitoring.shapes import ItemStats, StoreStats


@dataclass(frozen=True, slots=True)
class LagReading:
    """How far one partition has been read.

    Attributes:
        topic: What the topic is for: behaviours, users or items.
        partition: Partition number.
        position: Next offset that the store wants.
        end: Last stable offset as last learnt.
        unread_since_ms: Broker time of the oldest unread record, or any time that is known not to be later, such as the
            broker time of the last record that was applied. None: unknown.
        end_seen_ms: When `end` was learnt. None: just now. An end that is not learnt any more makes the lag grow.
        held_back: Offsets behind `end` that an open transaction holds back.
        held_since_ms: Since when `end` has stood still below them. None: nothing is held back.
        ready: Whether it has reached the end of the log as that was at the last assignment.

    """

    topic: str
    partition: int
    position: int
    end: int
    unread_since_ms: int | None = None
    end_seen_ms: int | None = None
    held_back: int = 0
    held_since_ms: int | None = None
    ready: bool = True

    @property
    def known_end(self) -> int:
        """End of the log as far as it is known: what has been read proves that it reaches that far."""
        return max(self.end, self.position)

    @property
    def messages(self) -> int:
        """Offsets between position and end."""
        return self.known_end - self.position


@dataclass(frozen=True, slots=True)
class StopReading:
    """A partition that stopped.

    Attributes:
        reason: One of `catalogue.STOP_REASONS`.
        text: What was found and what to do, on one line.

    """

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class IngestReading:
    """Where ingest stands as a whole.

    Attributes:
        serving: Partitions owned.
        standby: Partitions copied for another owner.
        ready: Partitions that reached the log's end as it was at their assignment.
        failed: Partitions that stopped and wait for an operator.
        lags: One reading per partition and topic that is assigned now; others lose their series.
        stops: Those that stopped, and why.
        waiting: Partitions that wait for the acknowledgement of dead letters.
        replayed: Share read of what the logs had unread at the assignment, the smallest one.
        broker_ok: Whether the brokers answered when they were last asked.

    """

    serving: int
    standby: int
    ready: int
    failed: int
    lags: Sequence[LagReading]
    stops: Sequence[StopReading] = ()
    waiting: int = 0
    replayed: float = 1.0
    broker_ok: bool = True


@dataclass(frozen=True, slots=True)
class StoreReading:
    """What a worker has on disk.

    Attributes:
        stores: Stats of the open behaviour stores, by partition.
        items: Stats of the item store; None before it is open.
        cache_bytes: Blocks kept in memory for all of them.

    """

    stores: Mapping[int, StoreStats]
    items: ItemStats | None = None
    cache_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DiskReading:
    """The file system of the stores: what is free for this process, and the size of it all."""

    free_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SnapshotReading:
    """Snapshots of the owned partitions.

    Attributes:
        age_seconds: Since the latest one of each partition was begun, the largest; 0 without partitions.
        positions: Position of the latest one by partition; partitions without one are left out.
        written: Made by this worker.
        failures: Attempts that failed.
        sent_bytes: Bytes sent to the location.
        seconds: Time spent.

    """

    age_seconds: float
    positions: Mapping[int, int]
    written: int
    failures: int
    sent_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StaleReading:
    """Copies of partitions that this worker does not own any more.

    Attributes:
        count: How many there are.
        bytes: Size of their files.
        dropped: How many were dropped since the start.

    """

    count: int
    bytes: int
    dropped: int


@dataclass(frozen=True, slots=True)
class ModelReading:
    """What a model slot runs.

    Attributes:
        version: The artefact's own name for itself.
        digest: Digest of the artefact.
        loaded_at_seconds: When it was loaded, as Unix time.
        slot: `live` or `shadow`.
        note: What is on its way into the slot, or was refused last; empty: nothing.

    """

    version: str
    digest: str
    loaded_at_seconds: float
    slot: str = "live"
    note: str = ""
