"""Which partition a key belongs to: murmur2, as Java's client, kafka-python and Faust compute it.

    partition = (murmur2(key, seed 0x9747b28c) & 0x7fffffff) mod partition count

librdkafka's clients default to CRC32 and Go's to FNV-1a; a user's behaviours would then lie on another partition than
the user's requests, which is why every record is checked. Set `partitioner=murmur2_random` there.

Invariant: equal to org.apache.kafka.common.utils.Utils.murmur2 for every key (checked against kafka-python's and
Java's published values).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.records import ByteColumn
from muse_stream.streams.wire.jit import kernel

WRONG_PARTITIONER_ADVICE = (
    "keys must be placed by murmur2 (Java, kafka-python); librdkafka defaults to CRC32: set partitioner=murmur2_random"
)


@kernel
def _murmur2(data: NDArray[np.uint8], start: int, stop: int) -> np.uint32:
    multiplier = np.uint32(0x5BD1E995)
    h = np.uint32(np.uint32(0x9747B28C) ^ np.uint32(stop - start))
    at = start
    while stop - at >= 4:
        k = np.uint32(
            np.uint32(data[at])
            | np.uint32(np.uint32(data[at + 1]) << np.uint32(8))
            | np.uint32(np.uint32(data[at + 2]) << np.uint32(16))
            | np.uint32(np.uint32(data[at + 3]) << np.uint32(24))
        )
        k = np.uint32(k * multiplier)
        k = np.uint32(k ^ (k >> np.uint32(24)))
        k = np.uint32(k * multiplier)
        h = np.uint32(np.uint32(h * multiplier) ^ k)
        at += 4
    rest = stop - at
    if rest > 0:
        for i in range(rest):
            h = np.uint32(h ^ np.uint32(np.uint32(data[at + i]) << np.uint32(8 * i)))
        h = np.uint32(h * multiplier)
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * multiplier)
    return np.uint32(h ^ (h >> np.uint32(15)))


@kernel
def _partitions(
    data: NDArray[np.uint8], start: NDArray[np.int64], stop: NDArray[np.int64], count: int
) -> NDArray[np.int32]:
    result = np.empty(len(start), np.int32)
    for i in range(len(result)):
        result[i] = np.int64(_murmur2(data, start[i], stop[i]) & np.uint32(0x7FFFFFFF)) % count
    return result


@kernel
def _partitions_of_integers(users: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    result = np.empty(len(users), np.int32)
    text = np.empty(20, np.uint8)  # "-9223372036854775808"
    for i in range(len(users)):
        if i and users[i] == users[i - 1]:
            result[i] = result[i - 1]
            continue
        rest = np.uint64(users[i]) if users[i] >= 0 else np.uint64(0) - np.uint64(users[i])
        at = 20
        while True:
            at -= 1
            text[at] = np.uint8(np.uint64(48) + rest % np.uint64(10))
            rest //= np.uint64(10)
            if rest == np.uint64(0):
                break
        if users[i] < 0:
            at -= 1
            text[at] = 45  # "-"
        result[i] = np.int64(_murmur2(text, at, 20) & np.uint32(0x7FFFFFFF)) % count
    return result


def partitions_of(keys: ByteColumn, count: int) -> NDArray[np.int32]:
    """Partitions `[n] int32` of keys in one buffer; null counts as the empty key."""
    return _partitions(keys.buffer, keys.start, keys.stop, count)


def partition_of(keys: Sequence[bytes], count: int) -> NDArray[np.int32]:
    """Partitions `[n] int32` of record keys, for a topic of `count` partitions."""
    return partitions_of(ByteColumn.of(keys), count)


def partition_of_key(key: bytes, count: int) -> int:
    """The partition of one record key, for a topic of `count` partitions."""
    return int(partition_of([key], count)[0])


def partition_of_users(users: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    """Partitions `[n] int32` of integer ids `[n] int64`, whose keys are their decimal text."""
    return _partitions_of_integers(users, count)
