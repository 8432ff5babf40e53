"""The worker's web server, as clients, people and Prometheus see it."""

import json
from typing import Any

import pytest

from muse_stream.streams.wire.encode import encode_user
from muse_stream.streams.wire.requests import NotBefore
from tests.streams.worker.alone.world import World
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Worker, until
from tests.streams.worker.log import read_topic

pytestmark = pytest.mark.kafka


def body(user: Any, **fields: Any) -> bytes:
    return json.dumps({"user": user, "request_id": "http-1", "candidates": [3, 14, "x"], **fields}).encode()


def test_a_post_gets_what_the_topic_gets_to_the_bit(world: World, worker: Worker, client: Client) -> None:
    users: list[int | str] = [*world.rows, "nobody"]
    for user in users:
        name = client.send(user, [3, 14, "x"], want="both", k=6, explain=True)
        client.answer(name)
        posted = worker.post("/v1/score", body(user, request_id=name, want="both", k=6, explain=True))
        assert posted.status == 200
        (value,) = [
            json.loads(record.value)
            for record in read_topic(client.installation, client.topics.scores)
            if json.loads(record.value)["request_id"] == name
        ]
        assert posted.body.pop("stages_ms").keys() == value.pop("stages_ms").keys()
        assert json.dumps(posted.body) == json.dumps(value)


@pytest.mark.usefixtures("world")
def test_a_post_can_wait_for_a_write(worker: Worker, client: Client) -> None:
    written = client.behave(7_001, 5)
    not_before = {"partition": written.partition, "offset": written.offset}
    found = worker.post("/v1/score", body(7_001, not_before=not_before))
    assert (found.status, found.body["window"]) == (200, {"start": 0, "stop": 1})
    refused = worker.post("/v1/score", body(7_001, not_before={**not_before, "offset": 10**9}, deadline_ms=200))
    assert (refused.status, refused.body["error"]["code"]) == (503, "not_before")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b"score!", 400, "malformed"),
        (b"[1]", 400, "malformed"),
        (b'{"request_id":"x","candidates":[1]}', 400, "malformed"),
        (b'{"user":1.5,"request_id":"x","candidates":[1]}', 400, "malformed"),
        (b'{"user":"\\ud800","request_id":"x","candidates":[1]}', 400, "malformed"),
        (body(6, k=0), 400, "out_of_range"),
        (body(0), 400, "bad_id"),
        (body(""), 400, "missing_key"),
        (body("__muse_x"), 400, "reserved_id"),
        (body(6, candidates=[1] * 101), 413, "oversize"),
        (body(6, context={"country": "x" * 1_200_000}), 413, "oversize"),
        (body(6, context={"country": "x" * 5_000_000}), 413, "too_large"),
    ],
)
@pytest.mark.usefixtures("world")
def test_a_post_that_cannot_be_computed(worker: Worker, sent: bytes, status: int, code: str) -> None:
    found = worker.post("/v1/score", sent)
    assert (found.status, found.body.get("code") or found.body["error"]["code"]) == (status, code)


def test_a_user_s_sequence_is_shown_newest_first(world: World, worker: Worker, client: Client) -> None:
    written = client.put(client.topics.users, *encode_user(8, {"country": 9}))
    until(lambda: worker.position(client.topics.users, written.partition) > written.offset, "the profile", worker)
    found = worker.get("/v1/users/8/sequence?limit=1000").body
    rows = world.rows[8]
    assert found["history_length"] == len(rows)
    assert (found["user"], found["id"], found["profile"]) == ("8", 8, {"country": 9})
    names = ["impression", "click", "cart", "favourite", "purchase", "return"]
    assert found["behaviours"] == [
        {
            "position": position,
            "item": item,
            "title": world.titles[item],
            "action": names[action],
            "time_ms": time_ms,
            "category": 0,
        }
        for position, (item, time_ms, action, _) in reversed(list(enumerate(rows)))
    ]
    assert len(worker.get("/v1/users/8/sequence").body["behaviours"]) == 20
    assert worker.get("/v1/users/8/sequence?limit=3").body["behaviours"] == found["behaviours"][:3]


@pytest.mark.usefixtures("world")
def test_a_user_known_by_text_has_a_sequence(worker: Worker, client: Client) -> None:
    written = client.behave("käthe w/o slash?", 5)
    client.ask("käthe w/o slash?", [1], not_before=NotBefore(written.partition, written.offset))
    found = worker.get("/v1/users/k%C3%A4the%20w%2Fo%20slash%3F/sequence")
    assert (found.status, found.body["history_length"]) == (200, 1)
    for other in ("nobody", "0", "__muse_x", "%FF", "%ED%A0%80", "a%00b"):
        found = worker.get(f"/v1/users/{other}/sequence")
        assert (found.status, found.body["history_length"]) == (200, 0)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "many", ""])
@pytest.mark.usefixtures("world")
def test_a_limit_out_of_range(worker: Worker, limit: str) -> None:
    found = worker.get(f"/v1/users/8/sequence?limit={limit}")
    assert (found.status, found.body["code"]) == (400, "malformed")


@pytest.mark.usefixtures("world")
def test_health_status_and_metrics(worker: Worker, client: Client) -> None:
    for kind in ("live", "ready", "startup"):
        assert worker.get(f"/health/{kind}").status == 200
    status = worker.get("/v1/status").body
    assert status["owned"] == [0, 1, 2, 3]
    assert {one["phase"] for one in status["partitions"]} == {"ready"}
    before = worker.metrics()
    client.ask(6, [1])
    client.ask(6, [1], k=999)
    answered = ("muse_requests_total", "ok"), ("muse_requests_total", "malformed")
    until(lambda: all(worker.metrics()[name] == before[name] + 1 for name in answered), "both counted", worker)
