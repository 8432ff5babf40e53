"""Answers over HTTP: every 503 says when to ask again, every answer from a late copy how late it is."""

import pytest

from muse_stream.streams.serving.desk import Reply
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.worker.scored import HTTP_STATUS, LEFT, scored


@pytest.mark.parametrize(
    ("retry_after_ms", "seconds"), [(None, "1"), (0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_500, "60")]
)
def test_when_to_ask_again_is_rounded_up_to_whole_seconds(retry_after_ms: int | None, seconds: str) -> None:
    found = scored(Reply(Status.OVERLOAD, b"", retry_after_ms=retry_after_ms))
    assert (found.status, dict(found.headers)) == (503, {"Retry-After": seconds})


@pytest.mark.parametrize("status", Status)
def test_every_503_and_nothing_else_says_when_to_ask_again(status: Status) -> None:
    found = scored(Reply(status, b"{}"))
    assert found.status == HTTP_STATUS[status]
    assert ("Retry-After" in found.headers) is (found.status == 503)
    assert "Freshness" not in found.headers


def test_a_late_copy_says_so() -> None:
    found = scored(Reply(Status.OK, b"{}", stale_seconds=12.25))
    assert (found.status, dict(found.headers)) == (200, {"Freshness": "12.250"})


def test_a_partition_that_left() -> None:
    assert (LEFT.status, dict(LEFT.headers)) == (503, {"Retry-After": "1"})
