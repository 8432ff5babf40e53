"""Behaviours: from the records of one partition to the columns that `state` appends.

Order of the checks, the first that fails names the reason: key, partition, size, format, the format's own checks,
missing ids, times. A null value erases the user of its key, whatever its headers. Of the reserved ids those of the
canary's users are accepted, by every reader and always: what a store holds follows from the log, not from settings.

Invariant: every record either has rows (one per behaviour, or one that erases) or exactly one reject; rows are in log
order whatever mix of formats came; and a record's rows depend on that record and the rules alone.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.columns import BehaviourBatch
from muse_stream.streams.records import ByteColumn, RecordBatch
from muse_stream.streams.wire.behaviour_frame import decode_frame_records
from muse_stream.streams.wire.behaviour_json import decode_json
from muse_stream.streams.wire.formats import (
    DEFAULT_ACTIONS,
    FORMAT_HEADER,
    FRAME_FORMAT,
    JSON_FORMAT,
    BehaviourRules,
    Columns,
    Fault,
    Format,
    Task,
    format_of,
    join_columns,
)
from muse_stream.streams.wire.frame import encode_frame
from muse_stream.streams.wire.keys import check_keys, rejects_of
from muse_stream.streams.wire.recordscan import scan_records
from muse_stream.streams.wire.rejects import Reason, Reject

__all__ = ["DEFAULT_ACTIONS", "FORMATS", "BehaviourRules", "decode_behaviours", "warm_up"]

FORMATS: Mapping[str, Format] = {JSON_FORMAT: decode_json, FRAME_FORMAT: decode_frame_records}


def decode_behaviours(records: RecordBatch, rules: BehaviourRules) -> tuple[BehaviourBatch, list[Reject]]:
    """Behaviours of a batch of records, and what could not be used, both in log order. Raises on no input."""
    users, usable, faults = check_keys(records, partition_count=rules.partition_count, accept_canary=True)
    values = ByteColumn.of(records.values)
    erase = values.null & usable
    usable &= ~erase
    parts = [_erasures(np.flatnonzero(erase), users)] if erase.any() else []
    for name, named in _by_format(records, usable).items():
        rows = named[_check_sizes(name, named, values.size, rules, faults)]
        if name not in FORMATS or not len(rows):
            continue
        held = values if len(rows) == len(records) else values.take(rows)
        task = Task(rows, held, users[rows], records.partition, rules)
        columns, found = FORMATS[name](task)
        faults += found
        parts.append(_checked(columns, records, rules, faults))
    return _batch(records, parts, erase), rejects_of(records, faults)


def warm_up() -> None:
    """Compile (or load) what decoding needs, seconds on a machine's first start: call before the first poll."""
    key, json = b"1", b'{"item":1,"time_ms":1,"action":1}'
    zeros = np.zeros(2, np.int64)
    headers = [None, [(FORMAT_HEADER, FRAME_FORMAT.encode())]]
    records = RecordBatch("", 0, [key, key], [json, encode_frame([1], [1], [1], [1])], headers, zeros, zeros, 0)
    decode_behaviours(records, BehaviourRules(partition_count=1))
    scan_records(np.frombuffer(b"", np.uint8), 0, 0)


def _by_format(records: RecordBatch, usable: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
    """Rows of the usable records by the format that their headers name."""
    rows = np.flatnonzero(usable)
    if not any(records.headers):
        return {JSON_FORMAT: rows}
    groups: dict[str, list[int]] = {}
    for row in rows.tolist():
        groups.setdefault(format_of(records.headers[row]), []).append(row)
    return {name: np.array(group, np.int64) for name, group in groups.items()}


def _check_sizes(
    name: str, rows: NDArray[np.int64], sizes: NDArray[np.int64], rules: BehaviourRules, faults: list[Fault]
) -> NDArray[np.bool_]:
    """Which of a format's rows are of a known format and a legal size; the others get a fault."""
    limit = rules.frame_bytes_max if name == FRAME_FORMAT else rules.json_bytes_max
    size = sizes[rows]
    empty, giant = size == 0, size > limit
    detail = "the value has no bytes; send a behaviour, or null to erase the user"
    faults.extend(Fault(row, Reason.EMPTY_VALUE, detail) for row in rows[empty].tolist())
    for row in rows[giant].tolist():
        detail = f"the value has {sizes[row]} bytes, at most {limit} are read; send smaller records"
        faults.append(Fault(row, Reason.OVERSIZE, detail))
    good: NDArray[np.bool_] = ~(empty | giant)
    if name not in FORMATS:
        detail = f"header {FORMAT_HEADER} is {name[:40]!r}; send one of {', '.join(FORMATS)}"
        faults.extend(Fault(row, Reason.UNKNOWN_FORMAT, detail) for row in rows[good].tolist())
    return good


def _checked(columns: Columns, records: RecordBatch, rules: BehaviourRules, faults: list[Fault]) -> Columns:
    """The rows of records of which every row passes the checks that all formats share."""
    latest_ms = records.broker_time_ms[columns.record] + rules.future_ms
    bad = (columns.item == 0) | (columns.user == 0) | (columns.time_ms < 0) | (columns.time_ms > latest_ms)
    if not bad.any():
        return columns
    rows = np.flatnonzero(bad)
    refused, first = np.unique(columns.record[rows], return_index=True)
    for record, row in zip(refused.tolist(), rows[first].tolist(), strict=True):
        faults.append(_row_fault(record, columns, row, int(latest_ms[row]) - rules.future_ms))
    return columns.take(~np.isin(columns.record, refused))


def _row_fault(record: int, columns: Columns, row: int, broker_time_ms: int) -> Fault:
    time_ms = int(columns.time_ms[row])
    if columns.item[row] == 0 or columns.user[row] == 0:
        detail = f"user {columns.user[row]}, item {columns.item[row]}: 0 means missing; number ids from 1"
        return Fault(record, Reason.BAD_ID, detail)
    if time_ms < 0:
        return Fault(record, Reason.NEGATIVE_TIME, f"time_ms is {time_ms}; send milliseconds since 1970")
    detail = (
        f"time_ms is {time_ms}, {time_ms - broker_time_ms} ms after the broker received it; "
        "check the producer's clock and unit (milliseconds)"
    )
    return Fault(record, Reason.FUTURE_TIME, detail)


def _erasures(rows: NDArray[np.intp], users: NDArray[np.int64]) -> Columns:
    zero = np.zeros(len(rows), np.int64)
    return Columns(rows, users[rows], zero, zero, zero.astype(np.uint8), zero, zero.astype(np.uint64))


def _batch(records: RecordBatch, parts: list[Columns], erase: NDArray[np.bool_]) -> BehaviourBatch:
    columns = join_columns(parts or [_erasures(np.zeros(0, np.intp), np.zeros(0, np.int64))])
    return BehaviourBatch(
        user=columns.user,
        item=columns.item,
        time_ms=columns.time_ms,
        action=columns.action,
        category=columns.category,
        event_id=columns.event_id,
        broker_time_ms=records.broker_time_ms[columns.record],
        offset=records.offset[columns.record],
        erase=erase[columns.record],
    )
