"""The canary's users: one on each partition, the same for everybody who knows the number of partitions."""

import pytest
from kafka.partitioner.default import murmur2

from muse_stream.streams.audit import decoding
from muse_stream.streams.wire.canary import canary_id, canary_users, is_canary
from muse_stream.streams.wire.ids import id_of, is_reserved


@pytest.mark.parametrize("count", [1, 2, 8, 64, 1_000])
def test_each_partition_has_one_and_it_hashes_to_it(count: int) -> None:
    users = canary_users(count)
    assert len(set(users)) == count
    assert [(murmur2(user.encode()) & 0x7FFFFFFF) % count for user in users] == list(range(count))
    assert all(is_reserved(user) and is_canary(user.encode(), count) for user in users)


def test_it_is_the_first_number_of_the_partition() -> None:
    users = canary_users(4)
    last = max(int(user.rpartition(":")[2]) for user in users)
    accepted = [number for number in range(last + 50) if is_canary(f"__muse:canary:{number}".encode(), 4)]
    assert sorted(f"__muse:canary:{number}" for number in accepted) == sorted(users)


def test_its_id_is_that_of_its_text() -> None:
    assert [canary_id(partition, 8) for partition in range(8)] == [id_of(user) for user in canary_users(8)]


@pytest.mark.parametrize("key", [None, b"", b"17", b"__muse", b"__muse_canary_0", b"__muse:canary:\xff"])
def test_others_are_none(key: bytes | None) -> None:
    assert not is_canary(key, 4)


@pytest.mark.parametrize("count", [1, 4, 64])
def test_the_audit_finds_the_same_ones_by_itself(count: int) -> None:
    assert tuple(decoding.canary_key(partition, count).decode() for partition in range(count)) == canary_users(count)
