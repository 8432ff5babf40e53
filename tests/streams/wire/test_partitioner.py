import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2

from muse_stream.streams.wire import partitioner
from muse_stream.streams.wire.ids import INT64_MAX, INT64_MIN
from tests.streams.wire.helpers import seeded


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        # values of Apache Kafka's own UtilsTest.testMurmur2, Apache-2.0
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_published_digests(key: bytes, digest: int) -> None:
    count = 2**31 - 1  # a prime above most digests: the partition is nearly the digest itself
    assert partitioner.partition_of_key(key, count) == (digest & 0x7FFFFFFF) % count


@seeded
@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 1_000))
def test_follows_kafka_python(keys: list[bytes], count: int) -> None:
    expected = [(murmur2(key) & 0x7FFFFFFF) % count for key in keys]
    assert partitioner.partition_of(keys, count).tolist() == expected


@seeded
@given(st.lists(st.integers(INT64_MIN, INT64_MAX), max_size=20), st.integers(1, 1_000))
def test_integers_hash_as_their_text(users: list[int], count: int) -> None:
    found = partitioner.partition_of_users(np.array([*users, *users], np.int64), count)
    assert found.tolist() == 2 * partitioner.partition_of([str(user).encode() for user in users], count).tolist()


def test_runs_of_one_user() -> None:
    users = np.repeat(np.array([1, 2, 1]), 3)
    assert partitioner.partition_of_users(users, 64).tolist() == [
        partitioner.partition_of_key(str(user).encode(), 64) for user in users
    ]
