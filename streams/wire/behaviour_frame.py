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
        Fault(int(task.record[i]), Reason.BAD_FRAME, f"{_described(task.values[i])}: {frame.COMPLAINTS[code]}")
        for i, code in enumerate(frames.complaint.tolist())
        if code
    ]
    of = np.repeat(np.arange(len(frames.count)), frames.count)  # each row's frame
    first = np.cumsum(frames.count) - frames.count  # each frame's first row
    columns = Columns(
        task.record[of], frames.user, frames.item, frames.time_ms, frames.action, frames.category, frames.event_id
    )
    refused = np.zeros(len(frames.count), np.bool_)
    for i in np.flatnonzero(frames.count > 0):
        if frames.user[first[i]] != task.user[i]:
            refused[i] = True
            detail = f"the key's id is {task.user[i]}, the frame's first user {frames.user[first[i]]}; send them equal"
            faults.append(Fault(int(task.record[i]), Reason.KEY_MISMATCH, detail))
    partitions = partition_of_users(frames.user, task.rules.partition_count)
    for row in np.flatnonzero(partitions != task.partition):
        if not refused[of[row]]:
            refused[of[row]] = True
            detail = (
                f"behaviour {row - first[of[row]]} of the frame is of user {frames.user[row]}, who belongs on partition "
                f"{partitions[row]}, not {task.partition}; a frame holds users of one partition ({WRONG_PARTITIONER_ADVICE})"
            )
            faults.append(Fault(int(task.record[of[row]]), Reason.WRONG_PARTITION, detail))
    return (columns.take(~refused[of]) if refused.any() else columns), faults


def _described(data: bytes) -> str:
    return f"{len(data)} bytes that begin with {data[:8].hex(' ')} are no frame of version 1"
