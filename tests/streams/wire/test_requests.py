import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.gsu_engine import quantise
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.canary import canary_users
from muse_stream.streams.wire.ids import id_of
from muse_stream.streams.wire.requests import BadRequest, Filters, NotBefore, Request, RequestRules, parse_request
from tests.streams.wire.helpers import odd_scalars, seeded, texts

RULES = RequestRules(partition_count=4, spaces={"v1": 3}, quantise=quantise)
MINE = 3  # the partition of user 17850 among 4


def parsed(value: dict[str, Any], key: bytes = b"17850") -> Request:
    request = parse_request(key, json.dumps(value).encode(), RULES, partition=None)
    assert isinstance(request, Request), request
    return request


def refused(value: dict[str, Any], key: bytes | None = b"17850", rules: RequestRules = RULES) -> BadRequest:
    request = parse_request(key, json.dumps(value).encode(), rules)
    assert isinstance(request, BadRequest), request
    return request


def test_defaults() -> None:
    request = parsed({"request_id": "r", "candidates": [1, "85123A"]})
    assert (request.user, request.user_text) == (17850, "17850")
    assert request.candidates == [1, "85123A"]
    assert request.items.tolist() == [1, id_of("85123A")]
    assert (request.k, request.want, request.space) == (50, "scores", "v1")
    assert request.own_vectors.shape == (0, 3)
    assert not request.prefetch
    assert not len(request.explain_rows)
    assert (request.filters, request.not_before, request.deadline_ms) == (None, None, None)


def test_everything() -> None:
    request = parsed(
        {
            "request_id": "r",
            "user": "17850",
            "candidates": [
                4,
                {"item": "x", "vector_float": [1, 0, -0.5]},
                {"item": 6},
                {"item": 7, "vector": [1, 2, 3]},
            ],
            "k": 200,
            "want": "both",
            "space": "v1",
            "context": {"hour": 13, "device": "phone", "none": None},
            "filters": {"since_ms": 5, "actions": ["click", 200], "exclude_candidate": True},
            "prefetch": True,
            "explain": True,
            "not_before": {"partition": 1, "offset": 12},
            "deadline_ms": 20,
        }
    )
    assert request.items.tolist() == [4, id_of("x"), 6, 7]
    assert request.candidates == [4, "x", 6, 7]
    assert request.own_rows.tolist() == [1, 3]
    assert request.own_vectors.tolist() == [[127, 0, -64], [1, 2, 3]]
    assert request.context == {"hour": 13, "device": id_of("phone")}
    assert request.filters == Filters(5, None, (1, 200), exclude_candidate=True)
    assert request.not_before == NotBefore(1, 12)
    assert request.explain_rows.tolist() == [0, 1, 2, 3]
    assert (request.k, request.want, request.deadline_ms) == (200, "both", 20)


def test_candidates_are_not_excluded_unless_asked_for() -> None:
    request = parsed({"request_id": "r", "candidates": [1], "filters": {"until_ms": 9}})
    assert request.filters == Filters(None, 9, None, exclude_candidate=False)


def test_some_candidates_may_be_named_to_be_explained() -> None:
    request = parsed({"request_id": "r", "candidates": [1, "x", 3, 1], "explain": ["x", 1, "1"]})
    assert request.explain_rows.tolist() == [0, 1, 3]
    assert parsed({"request_id": "r", "candidates": [1], "explain": []}).explain_rows.shape == (0,)
    found = refused({"request_id": "r", "candidates": [1], "explain": [1, "y"]})
    assert found.code == "out_of_range"
    assert "explain names 'y'" in found.message
    assert refused({"request_id": "r", "candidates": [1], "explain": [0]}).code == "bad_id"


def test_a_prefetch_needs_no_candidates() -> None:
    assert parsed({"request_id": "r", "prefetch": True}).items.shape == (0,)


GOOD: dict[str, Any] = {"request_id": "r", "candidates": [1]}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"candidates": []}, "out_of_range"),
        ({"candidates": [0]}, "bad_id"),
        ({"candidates": [""]}, "bad_id"),
        ({"candidates": ["__muse_1"]}, "reserved_id"),
        ({"candidates": [2**63]}, "id_out_of_range"),
        ({"candidates": [1.5]}, "bad_type"),
        ({"candidates": [{"vector": [1, 2, 3]}]}, "missing_field"),
        ({"candidates": [{"item": 1, "price": 3}]}, "unknown_field"),
        ({"candidates": [{"item": 1, "vector": [1, 2]}]}, "bad_vector"),
        ({"space": "v9"}, "unknown_space"),
        ({"k": 0}, "out_of_range"),
        ({"k": 201}, "out_of_range"),
        ({"want": "all"}, "bad_type"),
        ({"user": 1}, "key_mismatch"),
        ({"deadline_ms": 0}, "out_of_range"),
        ({"deadline_ms": 2**63}, "out_of_range"),
        ({"not_before": {"partition": -1, "offset": 1}}, "bad_type"),
        ({"not_before": {"partition": 1}}, "missing_field"),
        ({"filters": {"since_ms": 2**63}}, "out_of_range"),
        ({"filters": {"actions": ["gaze"]}}, "unknown_action"),
        ({"filters": {"exclude_candidate": 1}}, "bad_type"),
        ({"filters": {"exclude_candidates": True}}, "unknown_field"),
        ({"context": {"hour": ""}}, "bad_id"),
        ({"extra": 1}, "unknown_field"),
        ({"request_id": 3}, "bad_type"),
    ],
)
def test_what_breaks_the_contract_is_answered(change: dict[str, Any], code: str) -> None:
    bad = refused(GOOD | change)
    assert (bad.status, bad.code) == (Status.MALFORMED, code)
    assert bad.request_id == (None if "request_id" in change else "r")
    assert bad.user_text == "17850"
    assert 10 < len(bad.message) <= 600


def test_too_large() -> None:
    many = refused({"request_id": "r", "candidates": [1] * 2_001})
    assert (many.status, many.code, many.request_id) == (Status.TOO_LARGE, "oversize", "r")
    assert len(parsed({"request_id": "r", "candidates": [1] * 2_000}).items) == 2_000
    small = RequestRules(4, {"v1": 3}, quantise, bytes_max=20)
    assert refused(GOOD, rules=small).status is Status.TOO_LARGE


@pytest.mark.parametrize(
    ("key", "code"),
    [(None, "missing_key"), (b"", "missing_key"), (b"0", "bad_id"), (b"\xff", "bad_id"), (b"__muse_1", "reserved_id")],
)
def test_bad_keys(key: bytes | None, code: str) -> None:
    bad = refused(GOOD, key)
    assert (bad.status, bad.code, bad.request_id) == (Status.MALFORMED, code, "r")


@pytest.mark.parametrize("partition", range(4))
def test_a_canary_may_ask(partition: int) -> None:
    user = canary_users(4)[partition]
    request = parse_request(user.encode(), json.dumps(GOOD).encode(), RULES, partition=partition)
    assert isinstance(request, Request)
    assert (request.user, request.user_text) == (id_of(user), user)


def test_a_canary_of_another_number_of_partitions_may_not() -> None:
    stranger = next(user for user in canary_users(64) if user not in canary_users(4))
    assert refused(GOOD, stranger.encode()).code == "reserved_id"


def test_a_request_on_the_wrong_partition_is_told_why() -> None:
    value = json.dumps(GOOD).encode()
    assert isinstance(parse_request(b"17850", value, RULES, partition=MINE), Request)
    bad = parse_request(b"17850", value, RULES, partition=0)
    assert isinstance(bad, BadRequest)
    assert bad.code == "wrong_partition"
    assert "CRC32" in bad.message


@pytest.mark.parametrize("value", [None, b""])
def test_no_value(value: bytes | None) -> None:
    bad = parse_request(b"17850", value, RULES)
    assert isinstance(bad, BadRequest)
    assert (bad.code, bad.request_id) == ("empty_value", None)


@seeded
@given(
    st.none() | st.binary(max_size=20),
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(
            ["request_id", "user", "candidates", "k", "want", "context", "filters", "not_before", "deadline_ms"]
        ),
        odd_scalars | st.lists(odd_scalars | st.just({"item": 1, "vector": [0, 0, 1]}), max_size=3) | texts,
    ).map(lambda value: json.dumps({"request_id": "r", "candidates": [1]} | value).encode()),
)
def test_anything_has_an_answer(key: bytes | None, value: bytes) -> None:
    request = parse_request(key, value, RULES)
    if isinstance(request, BadRequest):
        assert request.status in (Status.MALFORMED, Status.TOO_LARGE)
    else:
        assert 1 <= len(request.items) <= 2_000
        assert 1 <= request.k <= 200
        assert request.items.all()
