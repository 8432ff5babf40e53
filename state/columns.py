"""The shapes in which behaviours enter and leave the store: parallel columns in, packed rows out.

Invariant: rows keep log order, in a batch as in a sequence.

A stored behaviour is 29 bytes, little endian, unpadded: item i64, time in ms i64, action u8, category i64 (0 = not
sent), arrival u32: the partition's latest broker time when its record came, in whole seconds. Packed rows compress
better with their neighbours than padded ones, and a read is one copy into one array; the price is that a column view is
strided, so copy a column before long arithmetic on it. Arrivals never fall along a sequence, whatever brokers' clocks
do, so what has expired is always its head; as they come last, a segment's newest one is its last four bytes.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.errors import BatchError

BEHAVIOUR = np.dtype(
    [("item", "<i8"), ("time_ms", "<i8"), ("action", "u1"), ("category", "<i8"), ("arrived_seconds", "<u4")]
)
NO_BEHAVIOURS: NDArray[np.void] = np.empty(0, BEHAVIOUR)

_COLUMN_TYPES = {
    "user": np.dtype(np.int64),
    "item": np.dtype(np.int64),
    "time_ms": np.dtype(np.int64),
    "action": np.dtype(np.uint8),
    "category": np.dtype(np.int64),
    "event_id": np.dtype(np.uint64),
    "broker_time_ms": np.dtype(np.int64),
    "offset": np.dtype(np.int64),
    "erase": np.dtype(np.bool_),
}


@dataclass(frozen=True, slots=True)
class BehaviourBatch:
    """Rows of one partition in log order; the rows of a frame share their record's offset.

    Attributes:
        user: `[n] int64` user id.
        item: `[n] int64` item id.
        time_ms: `[n] int64` event time, milliseconds since the epoch.
        action: `[n] uint8` action code.
        category: `[n] int64`, 0 = not sent.
        event_id: `[n] uint64` hash of the producer's event id, 0 = none sent.
        broker_time_ms: `[n] int64` the record's broker time, milliseconds since the epoch.
        offset: `[n] int64` log offset, never falling.
        erase: `[n] bool`; True erases `user`, the row's other columns then mean nothing.

    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    action: NDArray[np.uint8]
    category: NDArray[np.int64]
    event_id: NDArray[np.uint64]
    broker_time_ms: NDArray[np.int64]
    offset: NDArray[np.int64]
    erase: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def empty(cls) -> "BehaviourBatch":
        """No rows: what an append takes when only the position moves."""
        return cls(**{name: np.empty(0, dtype) for name, dtype in _COLUMN_TYPES.items()})

    def rows(self, start: int, stop: int) -> "BehaviourBatch":
        """Rows `[start, stop)`, as views."""
        return BehaviourBatch(*(getattr(self, field.name)[start:stop] for field in fields(self)))

    def check(self) -> None:
        """Raise BatchError unless all columns have one length, their dtypes, and offsets that never fall."""
        shape = (len(self),)
        for name, dtype in _COLUMN_TYPES.items():
            column = getattr(self, name)
            if column.shape != shape or column.dtype != dtype:
                found = f"column {name} is {column.dtype}{list(column.shape)}"
                message = f"{found}, expected {dtype}[{len(self)}]: build every column from the same rows."
                raise BatchError(message)
        if len(self) and bool((self.offset[1:] < self.offset[:-1]).any()):
            message = "offsets fall within the batch; expected log order: pass the rows as the consumer delivered them."
            raise BatchError(message)


@dataclass(frozen=True, slots=True)
class Appended:
    """What one append did, grouped by user.

    Attributes:
        users: `[u] int64` users that got behaviours, ascending, distinct.
        starts: `[u] int64` absolute sequence number of each user's first new behaviour that is still alive.
        bounds: `[u + 1] int64`; the rows of user j are `behaviours[bounds[j]:bounds[j + 1]]`.
        behaviours: `[m] BEHAVIOUR`, grouped by user, log order inside.
        erased: `[e] int64` users of whom nothing older than this batch is left, nor anything of it before the rows
            here: erased, or all expired. Drop them from caches before applying the rows.
        duplicates: Rows dropped because their event id was seen before.

    """

    users: NDArray[np.int64]
    starts: NDArray[np.int64]
    bounds: NDArray[np.int64]
    behaviours: NDArray[np.void]
    erased: NDArray[np.int64]
    duplicates: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """Live behaviours of a user, oldest to newest.

    Attributes:
        start: Absolute sequence number of `rows[0]`.
        rows: `[n] BEHAVIOUR`, read-only.

    """

    start: int
    rows: NDArray[np.void]

    @property
    def stop(self) -> int:
        """The sequence number that the user's next behaviour will get."""
        return self.start + len(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
