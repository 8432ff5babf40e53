"""Checks of record keys, the same for every topic that is keyed by user or item.

Invariant: every record without a fault here has a key whose id is usable and, where the topic is partitioned by it,
lies on the partition that the id's requests will be asked on.
"""

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire import idkernels
from muse_stream.streams.wire.canary import is_canary
from muse_stream.streams.wire.formats import Fault
from muse_stream.streams.wire.ids import RESERVED_PREFIX, parse_keys
from muse_stream.streams.wire.partitioner import WRONG_PARTITIONER_ADVICE, partitions_of
from muse_stream.streams.wire.rejects import Reason, Reject

_SHOWN_BYTES = 60  # of a found value, in a detail


def check_keys(
    records: RecordBatch, *, partition_count: int | None, accept_canary: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[Fault]]:
    """Ids of the keys and which of them are usable.

    Args:
        records: One partition's records.
        partition_count: Of the topic; None for a topic that is read whole, whose partitions say nothing.
        accept_canary: Whether the canary's users are let through; other ids in `__muse` never are.

    Returns:
        Ids `[n] int64`, usable `[n] bool`, and the faults of those that are not.

    """
    keys = parse_keys(records.keys)
    usable = keys.flag == idkernels.OK
    if accept_canary and partition_count is not None:
        reserved = np.flatnonzero(keys.flag == idkernels.RESERVED)
        usable[reserved] = [is_canary(records.keys[row], partition_count) for row in reserved.tolist()]
    faults = [_key_fault(row, records.keys[row], int(keys.flag[row])) for row in np.flatnonzero(~usable).tolist()]
    if partition_count is not None:
        partitions = partitions_of(keys.data, partition_count)
        for row in np.flatnonzero(usable & (partitions != records.partition)):
            usable[row] = False
            faults.append(_partition_fault(int(row), records, int(partitions[row]), partition_count))
    return keys.id, usable, faults


def rejects_of(records: RecordBatch, faults: list[Fault]) -> list[Reject]:
    """Rejects with the records' own bytes, in log order."""
    return [
        Reject(
            records.topic,
            records.partition,
            int(records.offset[fault.record]),
            fault.reason,
            fault.detail,
            records.keys[fault.record],
            records.values[fault.record],
            tuple((key, value or b"") for key, value in records.headers[fault.record] or ()),
            int(records.broker_time_ms[fault.record]),
        )
        for fault in sorted(faults, key=lambda fault: fault.record)
    ]


def shown(data: bytes | None) -> str:
    """Bytes as they appear in a detail: readable, bounded."""
    if data is None:
        return "null"
    return repr(data[:_SHOWN_BYTES])[1:] + ("…" if len(data) > _SHOWN_BYTES else "")


def _key_fault(row: int, key: bytes | None, flag: int) -> Fault:
    if flag in (idkernels.ABSENT, idkernels.EMPTY):
        return Fault(row, Reason.MISSING_KEY, "the record has no key; send the id's text as key")
    if flag == idkernels.RESERVED:
        detail = f"key {shown(key)} begins with {RESERVED_PREFIX}, which is kept for the system; use another id"
        return Fault(row, Reason.RESERVED_ID, detail)
    if flag == idkernels.ZERO:
        return Fault(row, Reason.BAD_ID, f"key {shown(key)} is id 0, which means missing; number ids from 1")
    return Fault(row, Reason.BAD_ID, f"key {shown(key)} is not UTF-8; send the id's text in UTF-8")


def _partition_fault(row: int, records: RecordBatch, expected: int, count: int) -> Fault:
    detail = (
        f"key {shown(records.keys[row])} came on partition {records.partition}, by murmur2 it belongs on {expected} of "
        f"{count}; {WRONG_PARTITIONER_ADVICE}"
    )
    return Fault(row, Reason.WRONG_PARTITION, detail)
