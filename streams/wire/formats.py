"""The one interface behind which value formats live: record bytes and rules in, columns and faults out.

A format is a function of a `Task`; Avro, Protobuf or mapped fields are one more such function and one more line in
`behaviours.FORMATS`. Faults become rejects, and the checks that all formats share (times, missing ids) are applied,
in `behaviours`.

Invariant: columns are in record order, and a record has either rows or a fault, never both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.records import ByteColumn, Headers
from muse_stream.streams.wire.rejects import Reason

FORMAT_HEADER = "muse-format"
JSON_FORMAT, FRAME_FORMAT = "json/1", "frame/1"

DEFAULT_ACTIONS: Mapping[str, int] = {
    "impression": 0,
    "click": 1,
    "cart": 2,
    "favourite": 3,
    "purchase": 4,
    "return": 5,
}
FUTURE_MS = 3_600_000  # the broker's own default for producers' clocks, message.timestamp.after.max.ms
JSON_BYTES_MAX = 65_536  # a behaviour takes about 100 bytes; this leaves room for any producer's white space
FRAME_BYTES_MAX = 1_048_576  # Kafka's default message size, about 31 000 behaviours


@dataclass(frozen=True)
class BehaviourRules:
    """What is accepted on the behaviours topic.

    Attributes:
        partition_count: Of the behaviours topic; keys are checked against it.
        actions: Names of actions and their numbers, 0..255.
        json_bytes_max: Largest JSON value.
        frame_bytes_max: Largest frame.
        future_ms: How far an event may lie after its own record's broker time.

    """

    partition_count: int
    actions: Mapping[str, int] = field(default_factory=lambda: DEFAULT_ACTIONS)
    json_bytes_max: int = JSON_BYTES_MAX
    frame_bytes_max: int = FRAME_BYTES_MAX
    future_ms: int = FUTURE_MS

    @cached_property
    def action_table(self) -> NDArray[np.uint8]:
        """Actions as the compiled reader takes them: `[a, 2 + longest] uint8`, see `jsonscan.scan`."""
        names = [name.encode() for name in self.actions]
        table = np.zeros((len(names), 2 + max(map(len, names), default=0)), np.uint8)
        for row, (name, number) in enumerate(zip(names, self.actions.values(), strict=True)):
            table[row, : 2 + len(name)] = number, len(name), *name
        return table


@dataclass(frozen=True, slots=True)
class Task:
    """Records of one format out of a batch.

    Attributes:
        record: `[k] int64` row numbers of the records in the batch, ascending.
        values: `[k]` values, none of them null.
        user: `[k] int64` ids of their keys.
        partition: The partition that they came on.
        rules: What is accepted.

    """

    record: NDArray[np.int64]
    values: ByteColumn
    user: NDArray[np.int64]
    partition: int
    rules: BehaviourRules


@dataclass(frozen=True, slots=True)
class Columns:
    """Behaviours, `m` rows in record order; `record [m] int64` is each row's record in the batch."""

    record: NDArray[np.int64]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    action: NDArray[np.uint8]
    category: NDArray[np.int64]
    event_id: NDArray[np.uint64]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Columns":
        """The rows of a mask, or of an index in its order."""
        return Columns(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record (its row number in the batch) was not used."""

    record: int
    reason: Reason
    detail: str


Format = Callable[[Task], tuple[Columns, list[Fault]]]


def join_columns(parts: Sequence[Columns]) -> Columns:
    """Columns of several formats in record order; a record's rows keep theirs."""
    if len(parts) == 1:
        return parts[0]
    joined = Columns(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Columns)))
    return joined.take(np.argsort(joined.record, kind="stable"))


def format_of(headers: Headers | None) -> str:
    """The format that a record's headers name, the last one if several do; JSON where none does."""
    named = [value or b"" for key, value in headers or () if key == FORMAT_HEADER]
    return named[-1].decode("utf-8", "replace") if named else JSON_FORMAT
