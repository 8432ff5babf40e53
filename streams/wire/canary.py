"""The canary's users: one per partition of the behaviours topic, the only reserved ids that a record may be keyed by.

    __muse:canary:<n>       n: the smallest number from 0 whose key lies on the partition, by murmur2

Invariant: a pure function of the partition and the number of partitions. So every reader of a log accepts the same
records, whether its own canary runs or not, and nobody can make up further users outside of all counts.
"""

from functools import lru_cache
from itertools import count as naturals

from muse_stream.streams.wire.ids import RESERVED_PREFIX, id_of
from muse_stream.streams.wire.partitioner import partition_of, partition_of_key

_PREFIX = f"{RESERVED_PREFIX}:canary:"
_TRIED_AT_ONCE = 1_024


@lru_cache(maxsize=8)
def canary_users(partition_count: int) -> tuple[str, ...]:
    """The canary's user of each partition, by partition number."""
    found: dict[int, str] = {}
    for first in naturals(0, _TRIED_AT_ONCE):
        users = [f"{_PREFIX}{number}" for number in range(first, first + _TRIED_AT_ONCE)]
        partitions = partition_of([user.encode() for user in users], partition_count)
        for user, partition in zip(users, partitions.tolist(), strict=True):
            found.setdefault(partition, user)
        if len(found) == partition_count:
            break
    return tuple(found[partition] for partition in range(partition_count))


def canary_id(partition: int, partition_count: int) -> int:
    """The 64-bit id of a partition's canary user."""
    return id_of(canary_users(partition_count)[partition])


def is_canary(key: bytes | None, partition_count: int) -> bool:
    """Whether a record key is a canary's user, of whatever partition."""
    if key is None or not key.startswith(_PREFIX.encode()):
        return False
    return key == canary_users(partition_count)[partition_of_key(key, partition_count)].encode()
