"""Byte layout of a behaviours store: one RocksDB, four key spaces told apart by their first byte.

Invariant: byte order of keys is (user, start) order, so a user's behaviours are neighbours on disk.

    00 name                              meta, see `meta.py`
    10 user^2^63 u64 BE, start u64 BE    behaviours: n packed 29-byte rows, sequence numbers start .. start + n - 1
    20 user^2^63 u64 BE                  profile: the users topic's latest value, as put
    30 ordinal u64 BE                    duplicate window: n pairs (user i64, event id u64), little endian

Consequences: the sign bit is flipped, so negative ids sort before positive ones and a range of ids is a range of keys;
starts are absolute, so trimming old rows never rewrites new ones; an empty behaviours value is the tombstone
of a user who was erased or of whom all has expired, its start the next sequence number, and the user's next behaviours
overwrite it. The segments of a user are contiguous: each starts where the one before ends.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.columns import BEHAVIOUR

META = b"\x00"
BEHAVIOURS = b"\x10"
PROFILES = b"\x20"
WINDOW = b"\x30"
BEHAVIOURS_END = b"\x11"
WINDOW_END = b"\x31"

ROW_BYTES = BEHAVIOUR.itemsize
USER_PREFIX_BYTES = 9
LAST_START = 2**64 - 1

_SIGN = 1 << 63
_SEGMENT = struct.Struct(">cQQ")
_PREFIXED = struct.Struct(">cQ")
_SEGMENT_COLUMNS = np.dtype([("space", "S1"), ("user", ">u8"), ("start", ">u8")])


def segment_key(user: int, start: int) -> bytes:
    """Key of the segment of `user` that begins at sequence number `start`."""
    return _SEGMENT.pack(BEHAVIOURS, user + _SIGN, start)


def segment_keys(users: NDArray[np.int64], starts: NDArray[np.int64]) -> list[bytes]:
    """`segment_key` of each (user, start) pair, without a Python call per pair."""
    packed = np.empty(len(users), _SEGMENT_COLUMNS)
    packed["space"] = BEHAVIOURS
    packed["user"] = users.view(np.uint64) ^ np.uint64(_SIGN)
    packed["start"] = starts
    keys: list[bytes] = packed.view(f"V{_SEGMENT_COLUMNS.itemsize}").tolist()
    return keys


def split_segment_key(key: bytes) -> tuple[int, int]:
    """The (user, start) of a segment key."""
    _, user, start = _SEGMENT.unpack(key)
    return user - _SIGN, start


def profile_key(user: int) -> bytes:
    """Key of the profile of `user`."""
    return _PREFIXED.pack(PROFILES, user + _SIGN)


def window_key(ordinal: int) -> bytes:
    """Key of the duplicate window's entries from `ordinal` on."""
    return _PREFIXED.pack(WINDOW, ordinal)


def window_ordinal(key: bytes) -> int:
    """The ordinal in a window key."""
    ordinal: int = _PREFIXED.unpack(key)[1]
    return ordinal
