import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.gsu_engine import quantise
from muse_stream.streams.errors import IdError, WireError
from muse_stream.streams.wire import encode
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.ids import Id, event_id_of, id_of
from muse_stream.streams.wire.items import ItemRules, decode_items
from muse_stream.streams.wire.requests import Request, RequestRules, RequestValue, parse_request
from muse_stream.streams.wire.users import UserRules, decode_profile, decode_users
from tests.streams.wire.helpers import BROKER_MS, RULES, batch, ids, seeded


@seeded
@given(ids, ids, st.integers(0, BROKER_MS), st.integers(0, 255), st.tuples(st.none() | ids, st.none() | ids))
def test_behaviour(user: Id, item: Id, time_ms: int, action: int, more: tuple[Id | None, Id | None]) -> None:
    category, event_id = more
    key, value = encode.encode_behaviour(user, item, time_ms, action, category=category, event_id=event_id)
    rows, rejects = decode_behaviours(batch([value], [key]), RULES)
    assert not rejects
    assert (rows.user[0], rows.item[0], rows.time_ms[0], rows.action[0]) == (id_of(user), id_of(item), time_ms, action)
    assert rows.category[0] == (0 if category is None else id_of(category))
    assert rows.event_id[0] == (0 if event_id is None else event_id_of(event_id))


def test_absent_fields_are_not_written() -> None:
    assert json.loads(encode.encode_behaviour(1, 2, 3, "click")[1]) == {"item": 2, "time_ms": 3, "action": "click"}


@pytest.mark.parametrize(("user", "item"), [(0, 1), (1, 0), ("", 1), (1, ""), (2**63, 1)])
def test_what_is_no_id_is_not_sent(user: Id, item: Id) -> None:
    with pytest.raises(IdError):
        encode.encode_behaviour(user, item, 1, "click")


@seeded
@given(st.lists(st.integers(1, 30), max_size=60), st.integers(1, 5), st.integers(1, 7), st.booleans())
def test_frames(users: list[int], partition_count: int, rows_max: int, full: bool) -> None:
    n = len(users)
    item = np.arange(1, n + 1)
    more = {"category": item + 1, "event_id": (item + 2).astype(np.uint64)} if full else {}
    records = encode.encode_behaviours(
        np.array(users, np.int64),
        item,
        item * 10,
        (item % 6).astype(np.uint8),
        partition_count=partition_count,
        rows_max=rows_max,
        **more,  # type: ignore[arg-type]  # mypy cannot see into the dict
    )
    found = []
    for record in records:
        rows, rejects = decode_behaviours(
            batch([record.value], [record.key], [record.headers], partition=record.partition),
            BehaviourRules(partition_count=partition_count),
        )
        assert not rejects
        assert len(rows) <= rows_max
        found += list(
            zip(rows.user.tolist(), rows.item.tolist(), rows.category.tolist(), rows.event_id.tolist(), strict=True)
        )
    expected = [(user, row + 1, full * (row + 2), full * (row + 3)) for row, user in enumerate(users)]
    assert sorted(found, key=lambda row: row[1]) == expected
    for user in set(users):
        assert [row for row in found if row[0] == user] == [row for row in expected if row[0] == user]


def test_frames_refuse_what_no_worker_would_take() -> None:
    one, zero = np.ones(1, np.int64), np.zeros(1, np.int64)
    for user, item in ((zero, one), (one, zero)):
        with pytest.raises(WireError, match="missing"):
            encode.encode_behaviours(user, item, one, one.astype(np.uint8), partition_count=1)


def test_user() -> None:
    key, value = encode.encode_user("x", {"a": 1, "b": "high"})
    users, profiles, _ = decode_users(batch([value], [key], topic="users"), UserRules(1))
    assert users.tolist() == [id_of("x")]
    assert decode_profile(profiles[0]) == {"a": 1, "b": id_of("high")}


@pytest.mark.parametrize("vector", [np.array([1, -2, 3], np.int8), np.array([0.1, -0.2, 0.3], np.float32), None])
def test_item(vector: np.ndarray | None) -> None:
    key, value = encode.encode_item(
        "85123A", category=3, features={"size": "l"}, title="Mug", vector=vector, space="small"
    )
    rules = ItemRules({"v1": 9, "small": 3}, quantise, features=("size",))
    items, rejects = decode_items(batch([value], [key], topic="items"), rules)
    assert not rejects
    assert (items.item[0], items.category[0], items.features[0, 0]) == (id_of("85123A"), 3, id_of("l"))
    assert items.title == ["Mug"]
    if vector is None:
        assert items.vectors == {}
    else:
        expected = vector if vector.dtype == np.int8 else quantise(vector[np.newaxis])[0]
        assert items.vectors["small"][1].tolist() == [expected.tolist()]


def test_request() -> None:
    own = encode.candidate_with(7, np.array([1, 2], np.int8))
    key, value = encode.encode_request("x", RequestValue(request_id="r", candidates=[1, "a", own], k=9, want="both"))
    request = parse_request(key, value, RequestRules(1, {"v1": 2}, quantise), partition=0)
    assert isinstance(request, Request)
    assert (request.user, request.k, request.want) == (id_of("x"), 9, "both")
    assert request.items.tolist() == [1, id_of("a"), 7]
    assert request.own_vectors.tolist() == [[1, 2]]
