"""Two workers: partitions change hands by joining, leaving and `kill -9` while behaviours and requests flow."""

import json
import urllib.error
import urllib.request

import pytest
from kafka import KafkaConsumer, TopicPartition

from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.encode import encode_behaviour
from muse_stream.streams.wire.requests import NotBefore
from tests.streams.worker.client import TIME_MS, Client
from tests.streams.worker.installation import PATIENCE_SECONDS, until
from tests.streams.worker.together.pair import (
    DEADLINE_MS,
    PARTITIONS,
    USERS,
    Pair,
    Traffic,
    check,
    partition_of,
    wait_alone,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
FAR = 5_000
"""Further ahead in a partition than the traffic of a test ever gets."""


def test_a_worker_joins_and_leaves_in_mid_stream(pair: Pair, client: Client) -> None:
    first, second = pair.first, pair.second
    first.start()
    wait_alone(first)
    traffic = Traffic(client, seed=1)
    with traffic.flowing():
        traffic.wait_more(40, first)
        second.start()
        pair.wait_shared()
        traffic.wait_more(100, first, second)
        answered = second.metrics()["muse_requests_total", "ok"]
        assert second.stop() == 0
        wait_alone(first)
        traffic.wait_more(40, first)
    assert answered > 10
    pair.stop()
    check(traffic, pair)


def test_http_reaches_the_owner_through_either_worker(pair: Pair, client: Client) -> None:
    pair.start()
    for partition in range(PARTITIONS):
        owner, other = pair.owner(partition)
        user = next(user for user in USERS if partition_of(user) == partition)
        written = client.behave(user, 1)
        name = client.send(user, [1, 2], want="both", k=5, not_before=NotBefore(written.partition, written.offset))
        answer = client.answer(name)
        counted = other.metrics()["muse_requests_total", "ok"]
        body = json.dumps({"user": user, "request_id": name, "candidates": [1, 2], "want": "both", "k": 5}).encode()
        direct, forwarded = owner.post("/v1/score", body), other.post("/v1/score", body)
        assert (direct.status, forwarded.status) == (200, 200), forwarded.body
        assert direct.body.pop("stages_ms").keys() == forwarded.body.pop("stages_ms").keys()
        assert forwarded.body == direct.body
        assert forwarded.body["scores"] == answer.scores
        assert other.metrics()["muse_requests_total", "ok"] == counted
        path = f"/v1/users/{user}/sequence?limit=7"
        assert other.get(path) == owner.get(path)
        assert owner.get(path).body["behaviours"][0]["item"] == 1
        again = urllib.request.Request(other.url + "/v1/score", data=body, headers={"muse-forwarded": "1"})  # noqa: S310
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(again, timeout=10)  # noqa: S310
        assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "1")
        refused.value.close()


def test_a_worker_killed_in_mid_stream(pair: Pair, client: Client) -> None:
    pair.start()
    killed, survivor = pair.first, pair.second
    one, other = sorted(killed.owned())
    user = next(user for user in USERS if partition_of(user) == one)
    traffic = Traffic(client, seed=2)
    with traffic.flowing():
        written = client.behave(user, 1)
        to_come = NotBefore(written.partition, written.offset + FAR)
        waiting = client.send(user, [1], not_before=to_come, deadline_ms=DEADLINE_MS)
        traffic.wait_more(50, killed, survivor)
        before = committed(client, other)
        until(lambda: committed(client, other) > before, "a commit after the answers to later requests", killed)
        killed.kill()
        wait_alone(survivor)
        traffic.wait_more(40, survivor)
        killed.start()
        pair.wait_shared()
        traffic.wait_more(60, killed, survivor)
        assert waiting not in client.answers
        write_many(client, user, FAR)
        assert client.answer(waiting).status is Status.OK
    traffic.after[waiting] = to_come
    traffic.asked.append(waiting)
    pair.stop()
    check(traffic, pair)


def committed(client: Client, partition: int) -> int:
    """Where the workers' group would go on reading requests, as Kafka knows it."""
    settings = client.installation.settings
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.brokers, group_id=settings.app.name)
    try:
        return consumer.committed(TopicPartition(client.topics.requests, partition)) or 0
    finally:
        consumer.close()


def write_many(client: Client, user: int, count: int) -> None:
    pairs = [encode_behaviour(user, number % 30 + 1, TIME_MS + number, "click") for number in range(count)]
    client.producer.send_many(
        client.topics.behaviours, [key for key, _ in pairs], [value for _, value in pairs], partition=partition_of(user)
    )
    client.producer.flush(PATIENCE_SECONDS)
