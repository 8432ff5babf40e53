"""The packed frame, version 1 (`muse-format: frame/1`): many behaviours of integer users in one record, little endian.

    offset  bytes  what
    0       4      magic "MUSF"
    4       1      version, 1
    5       1      flags: bit 0 categories follow, bit 1 event ids follow; all other bits 0
    6       2      0
    8       4      count n, u32, at least 1
    12      4      0
    16      8n     user      i64, not 0
            8n     item      i64, not 0
            8n     time_ms   i64
            8n     category  i64, 0 = not sent       only with flag bit 0
            8n     event id  u64, 0 = none           only with flag bit 1
            n      action    u8
            4      CRC32C (Castagnoli) of all bytes before it

Columns, not rows: readers copy whole columns, compressors find their repeats, and 8-byte columns lie on 8-byte bounds.
Flags and count fix the length exactly, so a cut or padded frame is seen before its checksum. The checksum also covers
the header, so a flipped flag cannot turn categories into event ids.

The record key is the first user's id, and every user must hash to the record's partition; a frame is used whole or
rejected whole. A user known by text cannot be in a frame: keys are hashed as text, and the frame has lost it.

Invariant: `decode_frames` accepts exactly the bytes that `encode_frame` makes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from crc32c import crc32c
from numpy.typing import ArrayLike, NDArray

from muse_stream.streams.errors import WireError
from muse_stream.streams.records import ByteColumn
from muse_stream.streams.wire.jit import kernel

MAGIC, VERSION = b"MUSF", 1
HEADER_BYTES, TRAILER_BYTES = 16, 4
CATEGORIES, EVENT_IDS = 1, 2
_MAGIC = np.frombuffer(MAGIC, np.uint8)
_RESIDUE = 0x48674BC7  # CRC32C of any message followed by its own CRC32C in little endian

COMPLAINTS = (
    "",
    "it is shorter than a header and a checksum",
    f"it does not begin with {MAGIC.decode()}",
    "its version is not 1",
    "it sets flags or reserved bytes that version 1 does not have",
    "it holds no behaviour",
    "its length does not follow from its count and flags",
    "its CRC32C does not match",
)
"""What is wrong with a frame, by the code of `Frames.complaint`; 0 = nothing."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Behaviours of several frames, one after another.

    Attributes:
        count: `[f] int64` behaviours of each frame, 0 for a refused one.
        complaint: `[f] uint8` index into COMPLAINTS, 0 for an accepted one.
        user: `[m] int64`, and so on: the columns of all accepted frames.

    """

    count: NDArray[np.int64]
    complaint: NDArray[np.uint8]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    action: NDArray[np.uint8]
    category: NDArray[np.int64]
    event_id: NDArray[np.uint64]


def encode_frame(
    user: ArrayLike,
    item: ArrayLike,
    time_ms: ArrayLike,
    action: ArrayLike,
    *,
    category: ArrayLike | None = None,
    event_id: ArrayLike | None = None,
) -> bytes:
    """A frame of `n >= 1` behaviours, each argument `[n]`. Raises WireError for another shape or an empty frame."""
    users = np.asarray(user, "<i8")
    columns = [users, np.asarray(item, "<i8"), np.asarray(time_ms, "<i8")]
    flags = 0
    if category is not None:
        flags |= CATEGORIES
        columns.append(np.asarray(category, "<i8"))
    if event_id is not None:
        flags |= EVENT_IDS
        columns.append(np.asarray(event_id, "<u8"))
    columns.append(np.asarray(action, np.uint8))
    if users.ndim != 1 or not len(users) or any(column.shape != users.shape for column in columns):
        shapes = ", ".join(str(column.shape) for column in columns)
        message = f"a frame's columns have shapes {shapes}; all must be [n] with the same n of at least 1"
        raise WireError(message)
    header = MAGIC + bytes((VERSION, flags, 0, 0)) + len(users).to_bytes(4, "little") + bytes(4)
    body = b"".join([header, *(column.tobytes() for column in columns)])
    return body + crc32c(body).to_bytes(4, "little")


def decode_frame(data: bytes) -> Frames:
    """One frame's behaviours. Raises WireError that says what is wrong with it."""
    frames = decode_frames([data])
    if frames.complaint[0]:
        message = f"not a frame of version 1: {COMPLAINTS[frames.complaint[0]]}"
        raise WireError(message)
    return frames


def decode_frames(values: Sequence[bytes | None]) -> Frames:
    """Behaviours of many frames; a refused frame has a complaint and no rows, the others are unaffected."""
    data = ByteColumn.of(values)
    sound = np.fromiter((crc32c(value or b"") for value in data), np.uint32, len(data)) == _RESIDUE
    count, complaint = _inspect(data.buffer, data.start, data.stop, sound)
    total = int(count.sum())
    user, item, time_ms, category = (np.zeros(total, np.int64) for _ in range(4))
    event_id = np.zeros(total, np.uint64)
    action = np.empty(total, np.uint8)
    words = (user, item, time_ms, category, event_id)
    _unpack(data.buffer, data.start, count, tuple(column.view(np.uint8) for column in words), action)
    return Frames(count, complaint, user, item, time_ms, action, category, event_id)


@kernel
def _inspect(
    data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], sound: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    n = len(starts)
    counts = np.zeros(n, np.int64)
    complaint = np.zeros(n, np.uint8)
    for i in range(n):
        at, size = starts[i], stops[i] - starts[i]
        if size < HEADER_BYTES + TRAILER_BYTES:
            complaint[i] = 1
            continue
        if not np.array_equal(data[at : at + 4], _MAGIC):
            complaint[i] = 2
            continue
        flags, rest = data[at + 5], data[at + 6] | data[at + 7]
        count = np.int64(0)
        for j in range(4):
            count |= np.int64(data[at + 8 + j]) << (8 * j)
            rest |= data[at + 12 + j]
        words = 3 + (flags & 1) + ((flags >> 1) & 1)
        if data[at + 4] != VERSION:
            complaint[i] = 3
        elif flags > 3 or rest != 0:
            complaint[i] = 4
        elif count == 0:
            complaint[i] = 5
        elif size != HEADER_BYTES + TRAILER_BYTES + count * (8 * words + 1):
            complaint[i] = 6
        elif not sound[i]:
            complaint[i] = 7
        else:
            counts[i] = count
    return counts, complaint


@kernel
def _unpack(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    words: tuple[NDArray[np.uint8], ...],
    action: NDArray[np.uint8],
) -> None:
    """Copy columns into `words` (user, item, time, category, event id as bytes) and `action`."""
    row = 0
    for i in range(len(counts)):
        n = counts[i]
        if n == 0:
            continue
        flags = data[starts[i] + 5]
        at = starts[i] + HEADER_BYTES
        for column in range(5):
            if (column == 3 and not flags & CATEGORIES) or (column == 4 and not flags & EVENT_IDS):
                continue
            words[column][8 * row : 8 * (row + n)] = data[at : at + 8 * n]
            at += 8 * n
        action[row : row + n] = data[at : at + n]
        row += n
