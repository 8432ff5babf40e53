import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.streams.wire.rejects import MESSAGE_BYTES_MAX, Reason, Reject, decode_dead_letter, encode_dead_letter
from tests.streams.wire.helpers import seeded

rejects = st.builds(
    Reject,
    topic=st.sampled_from(["behaviours", "items"]),
    partition=st.integers(0, 100),
    offset=st.integers(0, 2**62),
    reason=st.sampled_from(Reason),
    detail=st.text(max_size=50),
    key=st.none() | st.binary(max_size=50),
    value=st.none() | st.binary(max_size=200),
    headers=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2).map(tuple),
    broker_time_ms=st.integers(0, 2**50),
)


@seeded
@given(rejects)
def test_round_trip(reject: Reject) -> None:
    key, value = encode_dead_letter(reject)
    assert key == f"{reject.topic}:{reject.partition}:{reject.offset}".encode()
    assert decode_dead_letter(value) == (reject, False)


def test_readable_without_this_library() -> None:
    reject = Reject("behaviours", 3, 17, Reason.BAD_JSON, "why", b"k", b"\xff", (("h", b"x"),), 5)
    letter = json.loads(encode_dead_letter(reject)[1])
    assert letter["reason"] == "bad_json"
    assert base64.b64decode(letter["value"]) == b"\xff"
    assert letter["headers"] == [{"key": "h", "value": base64.b64encode(b"x").decode()}]


@pytest.mark.parametrize("key", [b"k", b"k" * 2_000_000, None])
@pytest.mark.parametrize("value", [b"v" * 2_000_000, b"", None])
@pytest.mark.parametrize("headers", [(), (("h", b"x" * 2_000_000),)])
def test_a_letter_always_fits(key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
    reject = Reject("behaviours", 0, 0, Reason.OVERSIZE, "too large", key, value, headers)
    _, letter = encode_dead_letter(reject)
    assert len(letter) <= MESSAGE_BYTES_MAX
    found, cut = decode_dead_letter(letter)
    assert cut == (found != reject)
    assert (found.value is None) == (value is None)
    assert (value or b"").startswith(found.value or b"")
    assert (key or b"").startswith(found.key or b"")
    if value and not headers and key != b"k" * 2_000_000:
        assert len(letter) > MESSAGE_BYTES_MAX - 10  # as much as fits, not less


def test_what_is_no_dead_letter() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_dead_letter(b"{}")
