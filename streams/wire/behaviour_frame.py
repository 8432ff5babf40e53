"""Frames as a format of the behaviours topic: layout in `frame`, here the rules that make one usable.

Invariant: a frame is used whole or not at all.
"""

import numpy as np

from muse_stream.streams.wire import frame
from muse_stream.streams.wire.formats import Columns, Fault, Task
from muse_stream.streams.wire.partitioner import WRONG_PARTITIONER_ADVICE, partition_of_users
from muse_stream.streams.wire.rejects import Reason


def decode_frame_records(task: Task) -> tuple[Columns, list[Fault]]:
    """Behaviours of frames: as many rows per record as its frame holds."""
    frames = frame.decode_frames(task.values)
    faults = [
        Fault(int(task.record[i]), Reason.BAD_FRAME, f"{_described(task.values.bytes_at(i))}: {frame.COMPLAINTS[code]}")
        for i, code in enumerate(frames.complaint.tolist())
        if code
    ]
    of = np.repeat(np.arange(len(frames.count)), frames.count)  # [m] each row's frame
    first = np.cumsum(frames.count) - frames.count  # [f] each frame's first row
    columns = Columns(
        task.record[of], frames.user, frames.item, frames.time_ms, frames.action, frames.category, frames.event_id
    )
    held = np.flatnonzero(frames.count)
    wrong_key = held[frames.user[first[held]] != task.user[held]]
    faults += [_key_fault(task, int(i), int(frames.user[first[i]])) for i in wrong_key]
    partitions = partition_of_users(frames.user, task.rules.partition_count)
    strangers = np.flatnonzero((partitions != task.partition) & (frames.user != 0))  # 0 is found later
    astray, at = np.unique(of[strangers], return_index=True)
    for i, row in zip(astray.tolist(), strangers[at].tolist(), strict=True):
        if i not in wrong_key:
            faults.append(_partition_fault(task, i, row - int(first[i]), int(frames.user[row]), int(partitions[row])))
    refused = np.isin(of, np.concatenate([wrong_key, astray]))
    return (columns.take(~refused) if refused.any() else columns), faults


def _key_fault(task: Task, frame_row: int, first_user: int) -> Fault:
    detail = f"the key's id is {task.user[frame_row]}, the frame's first user {first_user}; send them equal"
    return Fault(int(task.record[frame_row]), Reason.KEY_MISMATCH, detail)


def _partition_fault(task: Task, frame_row: int, row: int, user: int, partition: int) -> Fault:
    detail = (
        f"behaviour {row} of the frame is of user {user}, who belongs on partition {partition}, not {task.partition}; "
        f"a frame holds users of one partition ({WRONG_PARTITIONER_ADVICE})"
    )
    return Fault(int(task.record[frame_row]), Reason.WRONG_PARTITION, detail)


def _described(data: bytes) -> str:
    return f"{len(data)} bytes that begin with {data[:8].hex(' ')} are no frame of version 1"
