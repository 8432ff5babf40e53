"""Plain readings of ingest: what one batch did, and where each partition stands.

Invariant: everything here is data; monitoring and health subscribe to it and ingest knows neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.errors import IdentityError, StoreOpenError, StoreWriteError
from muse_stream.streams.errors import LogMismatchError, PositionError
from muse_stream.streams.records import Headers


@dataclass(frozen=True, slots=True)
class BatchStats:
    """What one batch of one topic partition did; handed to the observer after it became retrievable.

    Attributes:
        topic: Topic name.
        partition: Partition number.
        records: Records read, rejected ones included.
        rows: Rows decoded (a frame has many).
        applied: Behaviours, profiles or items written.
        duplicates: Behaviours dropped by the duplicate window.
        erased: Users erased.
        serving: Whether this worker owns the partition; a standby sees the same records a second time.
        rejects: Rejected records by reason, each counted once per store: when its position passes them.
        dead_letters: Rejects that this worker sent to the dead-letter topic.
        event_time_ms: `[rows] int64` event times (empty for users and items).
        broker_time_ms: `[rows] int64` broker times of the rows.
        visible_at_ms: Wall clock when the rows became retrievable, milliseconds since the epoch.
        live: False while the partition replays what was there before its assignment: no freshness to speak of.
        decode_seconds: Time spent on decoding.
        store_seconds: Time spent in the store's write.
        engine_seconds: Time spent on telling the engine.
        headers: Those of the records read; None where a record has none.

    """

    topic: str
    partition: int
    serving: bool
    records: int
    rows: int
    applied: int
    duplicates: int
    erased: int
    rejects: Mapping[str, int]
    dead_letters: int
    event_time_ms: NDArray[np.int64]
    broker_time_ms: NDArray[np.int64]
    visible_at_ms: int
    live: bool
    decode_seconds: float
    store_seconds: float
    engine_seconds: float
    headers: Sequence[Headers | None] = ()


class Phase(StrEnum):
    """Where a partition or the whole service stands."""

    OPENING = "opening"
    REPLAYING = "replaying"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LogState:
    """How far one topic partition has been read.

    Attributes:
        position: Next offset wanted by the store.
        end: Last stable offset as last refreshed.
        end_seen_ms: When that was, milliseconds since the epoch.
        target: Last stable offset at assignment; `ready` means that `position` has reached it.
        last_broker_time_ms: Broker time of the last record applied; None before the first.
        waiting: Why reading is held up (dead letters that the broker has not acknowledged); None while it is not.
        held_back: Offsets behind `end` that an open transaction holds back from every reader of committed records.
        held_since_ms: Since when, milliseconds since the epoch; None while nothing is held back.
        complete_ms: All that was in the log at that time is in the store; None while no such time is known.
        replayed: Share read of what was unread at assignment; 1 once `target` is reached.

    """

    position: int
    end: int
    end_seen_ms: int
    target: int
    last_broker_time_ms: int | None
    waiting: str | None
    held_back: int = 0
    held_since_ms: int | None = None
    complete_ms: int | None = None
    replayed: float = 1.0

    @property
    def lag_messages(self) -> int:
        """Offsets between the store and the last stable offset, markers included."""
        return max(0, self.end - self.position)

    def late_seconds(self, now_ms: int) -> float:
        """How long ago the first record that is not in was written, at most; infinity where nothing is known.

        Broker times rise within a partition (the topics have `LogAppendTime`), so the last record's is known complete.
        """
        known = [at for at in (self.complete_ms, self.last_broker_time_ms) if at is not None]
        return max(0, now_ms - max(known)) / 1e3 if known else inf


class Stopped(StrEnum):
    """Why a partition has stopped; a closed set, for a metric's label. The error's text says more."""

    POSITION = "position"  # the log does not have what the store wants next
    OTHER_LOG = "other_log"  # another cluster, another topic of the same name, or another partition count
    STORE = "store"  # the directory cannot be opened or written
    FAULT = "fault"  # anything else: a fault of this program


def stopped_by(error: Exception) -> Stopped:
    """The kind of trouble that an error tells of."""
    if isinstance(error, IdentityError) or (isinstance(error, LogMismatchError) and error.other_log):
        return Stopped.OTHER_LOG
    if isinstance(error, LogMismatchError | PositionError):
        return Stopped.POSITION
    return Stopped.STORE if isinstance(error, StoreOpenError | StoreWriteError) else Stopped.FAULT


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition for status and health.

    Attributes:
        partition: Partition number.
        serving: True for the owner, False for a standby.
        phase: Opening, replaying, ready or failed.
        logs: By topic; empty until the store is open.
        error: Why it stopped, with the operator's action; None while all is well.
        stopped: The same as one of a few kinds.

    """

    partition: int
    serving: bool
    phase: Phase
    logs: Mapping[str, LogState] = field(default_factory=dict)
    error: str | None = None
    stopped: Stopped | None = None

    @property
    def ready(self) -> bool:
        """Whether requests may be answered from this partition's store."""
        return self.phase is Phase.READY

    def late_seconds(self, now_ms: int) -> float:
        """The same of both logs; infinity without a store."""
        return inf if self.error else max((one.late_seconds(now_ms) for one in self.logs.values()), default=inf)


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """The thread as a whole.

    Attributes:
        alive: The loop turns; False before start, after stop and after a failure.
        error: Traceback of what ended the loop; None otherwise.
        broker_error: What the last unsuccessful talk to the broker said; None since one succeeded.
        beat_age_seconds: Time since the loop last came round.

    """

    alive: bool
    error: str | None
    broker_error: str | None
    beat_age_seconds: float
