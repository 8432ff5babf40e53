import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.gsu_engine import quantise
from muse_stream.streams.wire.encode import encode_item
from muse_stream.streams.wire.ids import id_of
from muse_stream.streams.wire.items import ItemRules, decode_items
from muse_stream.streams.wire.rejects import Reason
from tests.streams.wire.helpers import FIRST_OFFSET, batch, odd_scalars, seeded

RULES = ItemRules({"v1": 3, "wide": 4}, quantise, features=("brand", "size"))


def packed(*numbers: int) -> str:
    return base64.b64encode(np.array(numbers, np.int8).tobytes()).decode()


def test_columns() -> None:
    values: list[Any] = [
        {"category": "mugs", "features": {"size": 3, "other": 9}, "title": "Mug", "vector": [1, -128, 127]},
        {},
        None,
        {"space": "wide", "vector_int8": packed(1, 2, 3, -4)},
        {"vector_float": [0.25, -0.5, 0]},
    ]
    keys = [b"85123A", b"2", b"3", b"4", b"5"]
    encoded = [None if value is None else json.dumps(value).encode() for value in values]
    items, rejects = decode_items(batch(encoded, keys, topic="items"), RULES)
    items.check()
    assert not rejects
    assert items.item.tolist() == [id_of("85123A"), 2, 3, 4, 5]
    assert items.category.tolist() == [id_of("mugs"), 0, 0, 0, 0]
    assert items.feature_names == ("brand", "size")
    assert items.features.tolist() == [[0, 3]] + [[0, 0]] * 4
    assert items.title == ["Mug", None, None, None, None]
    assert items.forget.tolist() == [False, False, True, False, False]
    assert items.vectors["v1"][0].tolist() == [0, 4]
    assert items.vectors["v1"][1].tolist() == [[1, -128, 127], [64, -127, 0]]
    assert items.vectors["wide"][0].tolist() == [3]
    assert items.vectors["wide"][1].tolist() == [[1, 2, 3, -4]]


def test_an_item_has_a_vector_in_each_space() -> None:
    values = [
        {"vector": [1, 2, 3], "more_int8": {"wide": packed(4, 5, 6, 7)}},
        {"space": "wide", "more_int8": {"v1": packed(7, 8, 9)}},
        {"more_int8": {}},
    ]
    items, rejects = decode_items(batch([json.dumps(value).encode() for value in values], topic="items"), RULES)
    items.check()
    assert not rejects
    assert items.vectors["v1"][0].tolist() == [0, 1]
    assert items.vectors["v1"][1].tolist() == [[1, 2, 3], [7, 8, 9]]
    assert items.vectors["wide"][0].tolist() == [0]
    assert items.vectors["wide"][1].tolist() == [[4, 5, 6, 7]]


def test_both_vectors_of_an_item_that_was_encoded_arrive() -> None:
    one, other = np.array([1, 2, 3], np.int8), np.array([4, 5, 6, 7], np.int8)
    key, value = encode_item("mug", vector=one, more={"wide": other})
    items, _ = decode_items(batch([value], [key], topic="items"), RULES)
    assert [items.vectors[space][1].tolist() for space in ("v1", "wide")] == [[one.tolist()], [other.tolist()]]


def test_nothing_in_nothing_out() -> None:
    items, rejects = decode_items(batch([], topic="items"), RULES)
    items.check()
    assert len(items) == 0
    assert items.features.shape == (0, 2)
    assert not rejects


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", Reason.EMPTY_VALUE),
        (" " * 262_145, Reason.OVERSIZE),
        ("[]", Reason.BAD_TYPE),
        ('{"vector":[1,2,3]', Reason.BAD_JSON),
        ('{"price":1}', Reason.UNKNOWN_FIELD),
        ('{"title":3}', Reason.BAD_TYPE),
        ('{"category":9223372036854775808}', Reason.ID_OUT_OF_RANGE),
        ('{"features":{"other":""}}', Reason.BAD_ID),
        ('{"space":"v9"}', Reason.UNKNOWN_SPACE),
        ('{"more_int8":{"v9":"AQID"}}', Reason.UNKNOWN_SPACE),
        ('{"more_int8":{"v1":"AQI="}}', Reason.BAD_VECTOR),
        ('{"more_int8":{"v1":"AAAA"}}', Reason.BAD_VECTOR),
        ('{"more_int8":{"v1":[1,2,3]}}', Reason.BAD_TYPE),
        ('{"vector":[1,2,3],"more_int8":{"v1":"AQID"}}', Reason.BAD_VECTOR),
        ('{"vector":[]}', Reason.BAD_VECTOR),
        ('{"vector":[1,2]}', Reason.BAD_VECTOR),
        ('{"vector":[1,2,3,4]}', Reason.BAD_VECTOR),
        ('{"vector":[0,0,0]}', Reason.BAD_VECTOR),
        ('{"vector":[128,0,0]}', Reason.BAD_VECTOR),
        ('{"vector":[-129,0,0]}', Reason.BAD_VECTOR),
        ('{"vector":[99999999999999999999,0,0]}', Reason.BAD_VECTOR),
        ('{"vector":[1.5,0,0]}', Reason.BAD_TYPE),
        ('{"vector":[1,null,0]}', Reason.BAD_TYPE),
        ('{"vector_int8":"AQI="}', Reason.BAD_VECTOR),
        ('{"vector_int8":"AAAA"}', Reason.BAD_VECTOR),
        ('{"vector_int8":"AQ ID"}', Reason.BAD_VECTOR),
        ('{"vector_int8":"é"}', Reason.BAD_VECTOR),
        ('{"vector_float":[0.0,-0.0,0]}', Reason.BAD_VECTOR),
        ('{"vector_float":[NaN,0,1]}', Reason.BAD_JSON),
        ('{"vector_float":[Infinity,0,1]}', Reason.BAD_JSON),
        ('{"vector_float":[1e39,0,1]}', Reason.BAD_VECTOR),
        ('{"vector_float":[1e999,0,1]}', Reason.BAD_VECTOR),
        ('{"vector_float":[1e-300,0,0]}', Reason.BAD_VECTOR),
        ('{"vector_float":[1,2]}', Reason.BAD_VECTOR),
        ('{"vector":[1,2,3],"vector_float":[1,2,3]}', Reason.BAD_VECTOR),
    ],
)
def test_bad_values_go_alone(value: str, reason: Reason) -> None:
    good = b'{"vector":[1,2,3]}'
    items, rejects = decode_items(batch([good, value.encode(), good], [b"1", b"2", b"3"], topic="items"), RULES)
    items.check()
    assert items.item.tolist() == [1, 3]
    assert [(reject.topic, reject.reason, reject.offset) for reject in rejects] == [("items", reason, FIRST_OFFSET + 2)]


@pytest.mark.parametrize(
    ("key", "reason"), [(None, Reason.MISSING_KEY), (b"0", Reason.BAD_ID), (b"__muse", Reason.RESERVED_ID)]
)
def test_bad_keys_go_alone(key: bytes | None, reason: Reason) -> None:
    items, rejects = decode_items(batch([b"{}", b"{}"], [key, b"1"], topic="items"), RULES)
    assert items.item.tolist() == [1]
    assert rejects[0].reason is reason


@seeded
@given(
    st.lists(
        st.binary(max_size=40)
        | st.dictionaries(
            st.sampled_from(
                ["category", "features", "title", "space", "vector", "vector_int8", "vector_float", "extra"]
            ),
            odd_scalars
            | st.lists(st.floats() | st.integers(), max_size=4)
            | st.dictionaries(st.text(max_size=3), odd_scalars),
            max_size=4,
        ),
        max_size=6,
    )
)
def test_anything_is_stored_or_rejected(drawn: list[bytes | dict[str, object]]) -> None:
    values = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in drawn]
    items, rejects = decode_items(batch(values, topic="items"), RULES)
    items.check()
    assert len(items) + len(rejects) == len(values)
    for _, vectors in items.vectors.values():
        assert vectors.any(axis=1).all()
