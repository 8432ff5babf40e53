import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.streams.wire.ids import id_of
from muse_stream.streams.wire.rejects import Reason
from muse_stream.streams.wire.users import UserRules, decode_profile, decode_users, encode_profile
from tests.streams.wire.helpers import FIRST_OFFSET, batch, ids, odd_scalars, seeded, texts

RULES = UserRules(partition_count=1)


def test_profiles_in_log_order() -> None:
    values = [b'{"features":{"b":"high","a":3,"none":null,"zero":0}}', None, b'{"features":{}}']
    users, profiles, rejects = decode_users(batch(values, [b"7", b"x", b"7"], topic="users"), RULES)
    assert not rejects
    assert users.tolist() == [7, id_of("x"), 7]
    assert profiles[0] == f'{{"a":3,"b":{id_of("high")}}}'.encode()
    assert profiles[1:] == [None, b"{}"]
    assert decode_profile(profiles[0]) == {"a": 3, "b": id_of("high")}


def test_a_user_without_a_profile_has_no_features() -> None:
    assert decode_profile(None) == {}
    assert decode_profile(encode_profile({"a": 0})) == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.EMPTY_VALUE),
        (b" " * 65_537, Reason.OVERSIZE),
        (b"{", Reason.BAD_JSON),
        (b"{}", Reason.MISSING_FIELD),
        (b'{"features":{},"age":3}', Reason.UNKNOWN_FIELD),
        (b'{"features":[]}', Reason.BAD_TYPE),
        (b'{"features":{"a":1.5}}', Reason.BAD_TYPE),
        (b'{"features":{"a":9223372036854775808}}', Reason.ID_OUT_OF_RANGE),
        (b'{"features":{"a":""}}', Reason.BAD_ID),
        (b'{"features":{"a":"__muse"}}', Reason.RESERVED_ID),
    ],
)
def test_bad_values_go_alone(value: bytes, reason: Reason) -> None:
    good = b'{"features":{"a":1}}'
    users, profiles, rejects = decode_users(batch([good, value, good], [b"1", b"2", b"3"], topic="users"), RULES)
    assert users.tolist() == [1, 3]
    assert profiles == [b'{"a":1}'] * 2
    assert [(reject.topic, reject.reason, reject.offset) for reject in rejects] == [("users", reason, FIRST_OFFSET + 2)]


@seeded
@given(st.lists(st.binary(max_size=40) | st.dictionaries(texts, odd_scalars | ids, max_size=3), max_size=6))
def test_anything_is_stored_or_rejected(drawn: list[bytes | dict[str, object]]) -> None:
    values = [value if isinstance(value, bytes) else json.dumps({"features": value}).encode() for value in drawn]
    users, profiles, rejects = decode_users(batch(values, topic="users"), RULES)
    assert len(users) == len(profiles)
    assert len(users) + len(rejects) == len(values)
    for profile in profiles:
        assert 0 not in decode_profile(profile).values()
