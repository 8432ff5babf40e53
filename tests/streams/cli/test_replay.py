from collections.abc import Iterator

import pytest

from muse_stream.streams.cli.replay_command import limited
from muse_stream.streams.demo.feed import Records


def batches() -> Iterator[Records]:
    for start in (0, 10):
        keys = [str(number).encode() for number in range(start, start + 10)]
        yield Records(keys, keys, [("h", b"v")])


@pytest.mark.parametrize(("limit", "expected"), [(None, 20), (25, 20), (20, 20), (13, 13), (10, 10), (3, 3), (0, 0)])
def test_a_limit_cuts_within_a_batch_and_keeps_headers(limit: int | None, expected: int) -> None:
    cut = list(limited(batches(), limit))
    assert [int(key) for batch in cut for key in batch.keys] == list(range(expected))
    assert all(batch.headers == [("h", b"v")] for batch in cut)
    assert all(len(batch.keys) == len(batch.values) for batch in cut)


def test_a_reached_limit_draws_no_further_batch() -> None:
    def endless() -> Iterator[Records]:
        yield from batches()
        pytest.fail("drawn beyond the limit")

    assert sum(len(batch) for batch in limited(endless(), 20)) == 20
