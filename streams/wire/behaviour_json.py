"""Behaviours in JSON (`muse-format: json/1`, the default): one object per record.

    {"item": 22423, "time_ms": 1291213020000, "action": "purchase",
     "category": 17, "event_id": "536365-22423", "user": 17850}        the second line is optional

The compiled reader takes what it is sure of; msgspec, which has the last word, judges the rest one record at a time.

Invariant: what a record decodes to does not depend on which of the two read it, nor on any other record.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from muse_stream.streams.errors import IdError
from muse_stream.streams.records import ByteColumn
from muse_stream.streams.wire import idkernels, jsonscan
from muse_stream.streams.wire.formats import BehaviourRules, Columns, Fault, Task
from muse_stream.streams.wire.ids import INT64_MAX, Id, IdField, event_id_of
from muse_stream.streams.wire.rejects import Reason
from muse_stream.streams.wire.values import BadRecordError, bad, parse_id, parse_legal_id, parse_value


class BehaviourValue(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The value of a record on the behaviours topic; a null value erases the user of its key."""

    item: Annotated[IdField, Meta(description="The item; not 0.")]
    time_ms: Annotated[
        int,
        Meta(
            description="When it happened, milliseconds since 1970; at most an hour after the broker received it.",
            extra_json_schema={"minimum": 0, "maximum": INT64_MAX},
        ),
    ]
    action: Annotated[Id, Meta(description="A configured name, or its number, 0 to 255.")]
    category: Annotated[
        IdField | None, Meta(description="The item's category at that time; 0, null or absent: not sent.")
    ] = None
    event_id: Annotated[
        Id | None, Meta(description="The producer's name for this event: a repeat with the same user is dropped.")
    ] = None
    user: Annotated[IdField | None, Meta(description="The user once more; must be the record key's id.")] = None


_DECODER = msgspec.json.Decoder(BehaviourValue)


def decode_json(task: Task) -> tuple[Columns, list[Fault]]:
    """Behaviours of JSON records: one row per record, in order."""
    values = task.values
    read, fields = jsonscan.scan(values.buffer, values.start, values.stop, task.rules.action_table)
    item, item_flag = _ids(values, fields, jsonscan.ITEM)
    category, category_flag = _ids(values, fields, jsonscan.CATEGORY)
    user, user_flag = _ids(values, fields, jsonscan.USER)
    events = fields[2 * jsonscan.EVENT : 2 * jsonscan.EVENT + 2]
    event_id = idkernels.digests_of_spans(values.buffer, *events)
    time_ms, action = fields[2 * jsonscan.TIME], fields[2 * jsonscan.ACTION].astype(np.uint8)
    doubtful = ~read | (item_flag != idkernels.OK)
    doubtful |= (user_flag != idkernels.ABSENT) & (user != task.user)
    doubtful |= (category_flag == idkernels.EMPTY) | (category_flag == idkernels.RESERVED)
    doubtful |= (events[0] >= 0) & (events[0] == events[1])
    columns = Columns(task.record, task.user, item, time_ms, action, category, event_id)
    faults = []
    good = np.ones(len(values), np.bool_)
    for row in np.flatnonzero(doubtful).tolist():
        try:
            row_values = read_behaviour(values.bytes_at(row), int(task.user[row]), task.rules)
        except BadRecordError as error:
            good[row] = False
            faults.append(Fault(int(task.record[row]), error.reason, error.detail))
        else:
            item[row], time_ms[row], action[row], category[row], event_id[row] = row_values
    return (columns.take(good) if faults else columns), faults


def _ids(values: ByteColumn, fields: NDArray[np.int64], field: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    return idkernels.ids_of_spans(values.buffer, fields[2 * field], fields[2 * field + 1])


def read_behaviour(data: bytes, user: int, rules: BehaviourRules) -> tuple[int, int, int, int, int]:
    """Item, time_ms, action, category and event id of one record of `user`. Raises BadRecordError."""
    value = parse_value(_DECODER, data, "behaviours")
    if value.user is not None and parse_id(value.user, "user") != user:
        bad(Reason.KEY_MISMATCH, f"field user is {value.user!r}, the record's key is id {user}; send them equal")
    item = parse_legal_id(value.item, "item")
    if not 0 <= value.time_ms <= INT64_MAX:
        reason = Reason.NEGATIVE_TIME if value.time_ms < 0 else Reason.FUTURE_TIME
        bad(reason, f"time_ms is {value.time_ms}; send milliseconds since 1970 within int64")
    action = parse_action(value.action, rules.actions)
    category = 0 if value.category is None else parse_id(value.category, "category")
    return item, value.time_ms, action, category, _event_id(value.event_id)


def parse_action(action: Id, actions: Mapping[str, int]) -> int:
    """The number of an action given by name or number. Raises BadRecordError."""
    number = actions.get(action, -1) if isinstance(action, str) else action
    if not 0 <= number <= 255:
        bad(Reason.UNKNOWN_ACTION, f"action is {action!r}; send one of {', '.join(actions)} or a number 0..255")
    return number


def _event_id(value: Id | None) -> int:
    if value == "":
        bad(Reason.BAD_ID, "event_id is empty text; leave it out or send at least one character")
    try:
        return 0 if value is None else event_id_of(value)
    except IdError as error:
        bad(Reason.BAD_ID, f"event_id: {error}")
