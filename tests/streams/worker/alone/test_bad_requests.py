"""Requests that are not computed: each gets one answer that says why, whatever its bytes are."""

import json
from typing import Any

import numpy as np
import pytest

from muse_stream.streams.wire.answers import Answer, Status
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.requests import NotBefore
from tests.streams.worker.alone.world import CANDIDATES_MAX, World
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Worker, until
from tests.streams.worker.log import read_topic

pytestmark = pytest.mark.kafka
USER = b"6"
MALFORMED, TOO_LARGE = Status.MALFORMED, Status.TOO_LARGE


def raw(client: Client, key: bytes | None, value: bytes | None, partition: int | None = None) -> Answer:
    """The answer to a record of any bytes; one that names no request is told by being the next without a name."""
    name = name_in(value)
    before = len(client.answers[name])
    client.put(client.topics.requests, key, value, partition=partition)
    until(lambda: len(client.answers[name]) > before, f"an answer to {value!r:.100}", *client.installation.workers)
    return client.answers[name][-1]


def name_in(value: bytes | None) -> str:
    try:
        return str(json.loads(value or b"")["request_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def request(name: str, **fields: Any) -> bytes:
    return json.dumps({"request_id": f"bad-{name}", "candidates": [1], **fields}).encode()


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        (b"rank these", MALFORMED, "bad_json"),
        (b"", MALFORMED, "empty_value"),
        (None, MALFORMED, "empty_value"),
        (b"\xff\x00", MALFORMED, "bad_json"),
        (b"[" * 5_000, MALFORMED, "bad_json"),
        (b'{"candidates":[1]}', MALFORMED, "missing_field"),
        (request("extra", limit=3), MALFORMED, "unknown_field"),
        (request("text k", k="all"), MALFORMED, "bad_type"),
        (request("k", k=201), MALFORMED, "out_of_range"),
        (request("k 0", k=0), MALFORMED, "out_of_range"),
        (request("none", candidates=[]), MALFORMED, "out_of_range"),
        (request("deadline", deadline_ms=0), MALFORMED, "out_of_range"),
        (request("item 0", candidates=[1, 0]), MALFORMED, "bad_id"),
        (request("item", candidates=[2**63]), MALFORMED, "id_out_of_range"),
        (request("reserved", candidates=["__muse_x"]), MALFORMED, "reserved_id"),
        (request("user", user=7), MALFORMED, "key_mismatch"),
        (request("action", filters={"actions": ["gaze"]}), MALFORMED, "unknown_action"),
        (request("short", candidates=[{"item": 1, "vector": [1, 2]}]), MALFORMED, "bad_vector"),
        (request("space", space="v9", candidates=[{"item": 1, "vector": [1] * 64}]), MALFORMED, "unknown_space"),
        (request("log", not_before={"partition": 3, "offset": -1}), MALFORMED, "bad_type"),
        (request("many", candidates=list(range(1, CANDIDATES_MAX + 2))), TOO_LARGE, "oversize"),
        (request("giant", context={"country": "x" * 1_200_000}), TOO_LARGE, "oversize"),
    ],
)
def test_a_request_against_the_contract(
    world: World, client: Client, value: bytes | None, status: Status, code: str
) -> None:
    assert world.rows
    answer = raw(client, USER, value)
    assert answer.error is not None
    assert (answer.status, answer.error.code, answer.user) == (status, code, USER.decode())
    assert answer.error.message
    assert (answer.scores, answer.retrieved, answer.positions) == (None, None, None)


@pytest.mark.parametrize(
    ("key", "code"), [(None, "missing_key"), (b"", "missing_key"), (b"0", "bad_id"), (b"__muse_x", "reserved_id")]
)
@pytest.mark.usefixtures("world")
def test_a_key_that_names_nobody(client: Client, key: bytes | None, code: str) -> None:
    answer = raw(client, key, request(f"key {key!r}"), partition=1)
    assert answer.error is not None
    assert (answer.status, answer.error.code) == (MALFORMED, code)


@pytest.mark.usefixtures("world")
def test_a_key_on_the_wrong_partition(client: Client) -> None:
    right = partition_of_key(USER, client.topics.partitions)
    answer = raw(client, USER, request("astray"), partition=(right + 1) % client.topics.partitions)
    assert answer.error is not None
    assert (answer.status, answer.error.code) == (MALFORMED, "wrong_partition")
    assert "murmur2" in answer.error.message


@pytest.mark.usefixtures("world")
def test_not_before_of_another_partition(client: Client) -> None:
    right = partition_of_key(USER, client.topics.partitions)
    answer = client.ask(6, [1], not_before=NotBefore((right + 1) % client.topics.partitions, 0))
    assert answer.error is not None
    assert (answer.status, answer.error.code) == (MALFORMED, "wrong_partition")


@pytest.mark.usefixtures("world")
def test_not_before_a_record_that_never_comes(client: Client) -> None:
    written = client.behave(6_001, 1)
    after = NotBefore(written.partition, written.offset + 1_000_000)
    answer = client.ask(6_001, [1], not_before=after, deadline_ms=300)
    assert answer.error is not None
    assert (answer.status, answer.error.code) == (Status.NOT_READY, "not_before")
    assert client.ask(6_001, [1]).status is Status.OK


@pytest.mark.usefixtures("world")
def test_a_deadline_that_has_passed(client: Client) -> None:
    answer = client.ask(6, [1], deadline_ms=1)
    assert answer.error is not None
    assert (answer.status, answer.error.code) == (Status.EXPIRED, "expired")


def test_an_answer_above_the_limit(world: World, client: Client) -> None:
    many = list(range(1, CANDIDATES_MAX + 1))
    answer = client.ask(8, many, want="retrieved", k=50)
    assert answer.error is not None
    assert (answer.status, answer.error.code) == (TOO_LARGE, "answer_too_large")
    assert client.ask(8, many, want="scores").status is Status.OK
    few = client.ask(8, many[:10], want="retrieved", k=20)
    assert few.retrieved is not None
    assert np.mean([len(found.item) for found in few.retrieved]) == 20
    assert world.rows


def test_every_request_has_exactly_one_answer(world: World, worker: Worker, client: Client) -> None:
    """Also those of the tests before this one: all that lie on the topic."""
    for number in range(200):
        client.send(number % 8 + 1, [number % 60 + 1] * (number % 5 + 1), want=("scores", "both")[number % 2], k=3)
    client.producer.flush(30)
    requests = read_topic(client.installation, client.topics.requests)
    until(lambda: sum(map(len, dict(client.answers).values())) >= len(requests), "all answers", worker)
    for number in range(client.topics.partitions):  # what would be answered twice would be answered by now
        client.ask(next(user for user in range(1, 100) if partition_of(client, user) == number), [1])
    expected: dict[str, int] = {}
    for record in read_topic(client.installation, client.topics.requests):
        name = name_in(record.value)
        expected[name] = expected.get(name, 0) + 1
    until(
        lambda: {name: len(found) for name, found in dict(client.answers).items() if found} == expected,
        "one each",
        worker,
    )
    assert len(client.answers) > 200
    assert world.rows


def partition_of(client: Client, user: int) -> int:
    return partition_of_key(str(user).encode(), client.topics.partitions)
