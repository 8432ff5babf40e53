"""The follower on a real broker: catches up, tells changes once, skips what it cannot read, waits for a topic."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from muse_stream.streams.clients import open_admin, open_consumer, open_producer
from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.kafka.consumer import DRIVERS
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.facts import ClusterFacts
from muse_stream.streams.kafka.topics import TopicNames
from muse_stream.streams.models.control import Activation, Running, Slot, WorkerReport
from muse_stream.streams.models.follower import ControlFollower
from muse_stream.streams.models.opening import follow, worker_id
from muse_stream.streams.settings import Settings

from .cluster import create, writing

pytestmark = pytest.mark.kafka

WAIT_SECONDS = 30.0
Changes = queue.Queue[tuple[Slot, Activation | None]]


@pytest.fixture
def settings(kafka: EmbeddedKafka, topics: TopicNames) -> Settings:
    prefix = topics.models.removesuffix("models")
    return Settings.load(flags={"kafka.brokers": kafka.bootstrap, "topics.prefix": prefix})


@contextmanager
def following(settings: Settings, changes: Changes | None = None) -> Iterator[ControlFollower]:
    told: Changes = queue.Queue() if changes is None else changes
    follower = follow(settings, lambda slot, activation: told.put((slot, activation)))
    follower.start()
    try:
        yield follower
    finally:
        follower.stop()


def activation(name: str, slot: Slot = "live") -> Activation:
    share = 0.5 if slot == "shadow" else None
    return Activation(slot=slot, name=name, digest="a" * 64, space="v1", share=share, by="test", at_ms=1)


def report(worker: str) -> WorkerReport:
    return WorkerReport(worker=worker, at_ms=1, live=Running("one", "a" * 64, "v1"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_latest_is_told_once_and_then_each_change(settings: Settings, driver: str) -> None:
    settings = Settings.load(
        flags={
            "kafka.brokers": settings.kafka.brokers,
            "kafka.driver": driver,
            "topics.prefix": settings.topics.prefix,
        }
    )
    create(settings)
    changes: Changes = queue.Queue()
    with writing(settings) as writer:
        for name in ("one", "two", "three"):
            writer.activate(activation(name))
        writer.activate(activation("beside", "shadow"))
        writer.report(report("w1"))
        with following(settings, changes) as follower:
            follower.caught_up.result(WAIT_SECONDS)
            assert follower.current("live") == activation("three")
            assert follower.reports()["w1"].report == report("w1")
            assert changes.get(timeout=WAIT_SECONDS) == ("live", activation("three"))
            assert changes.get(timeout=WAIT_SECONDS) == ("shadow", activation("beside", "shadow"))
            writer.activate(activation("four"))
            assert changes.get(timeout=WAIT_SECONDS) == ("live", activation("four"))
            writer.empty("shadow")
            assert changes.get(timeout=WAIT_SECONDS) == ("shadow", None)
            assert follower.current("shadow") is None
            writer.leave("w1")
            writer.activate(activation("five"))
            assert changes.get(timeout=WAIT_SECONDS) == ("live", activation("five"))
            assert follower.reports() == {}
    assert changes.empty()


def test_an_empty_topic_is_caught_up(settings: Settings) -> None:
    create(settings)
    with following(settings) as follower:
        follower.caught_up.result(WAIT_SECONDS)
        assert (follower.current("live"), follower.reports(), follower.topic_missing) == (None, {}, False)


def test_what_cannot_be_read_is_counted_and_skipped(settings: Settings) -> None:
    create(settings)
    producer = open_producer(settings)
    for key, value in ((b"slot/live", b"no JSON"), (b"\xff", b"{}"), (b"slot/other", None)):
        producer.send(settings.topics.models, key, value).result(WAIT_SECONDS)
    producer.close()
    with writing(settings) as writer, following(settings) as follower:
        writer.activate(activation("one"))
        follower.caught_up.result(WAIT_SECONDS)
        assert follower.skipped == 3
        assert follower.health().alive


def test_a_callback_that_fails_is_called_again(settings: Settings) -> None:
    create(settings)
    changes: Changes = queue.Queue()

    def fail(slot: Slot, found: Activation | None) -> None:
        changes.put((slot, found))
        message = "the worker has no time"
        raise ValueError(message)

    follower = follow(settings, fail)
    follower.start()
    with writing(settings) as writer:
        writer.activate(activation("one"))
        assert changes.get(timeout=WAIT_SECONDS) == ("live", activation("one"))
        writer.activate(activation("two"))
        assert changes.get(timeout=WAIT_SECONDS) == ("live", activation("two"))
    follower.stop()


def test_a_topic_may_come_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("muse_stream.streams.models.follower.LOOK_SECONDS", 0.2)
    changes: Changes = queue.Queue()
    with following(settings, changes) as follower:
        follower.caught_up.result(WAIT_SECONDS)
        assert follower.topic_missing
        assert "run muse-stream topics create" in caplog.text
        create(settings)
        with writing(settings) as writer:
            writer.activate(activation("one"))
        assert changes.get(timeout=WAIT_SECONDS) == ("live", activation("one"))
        assert not follower.topic_missing


def test_a_topic_created_again_is_read_from_its_beginning(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_stream.streams.models.follower.LOOK_SECONDS", 0.2)
    create(settings)
    changes: Changes = queue.Queue()
    with following(settings, changes) as follower:
        with writing(settings) as writer:
            writer.activate(activation("one"))
        assert changes.get(timeout=WAIT_SECONDS) == ("live", activation("one"))
        with open_admin(settings) as admin:
            admin.delete_topics([settings.topics.models])
        assert follower.current("live") == activation("one")
        create(settings)
        with writing(settings) as writer:
            writer.activate(activation("two"))
        while changes.get(timeout=WAIT_SECONDS) != ("live", activation("two")):
            pass


def test_brokers_that_are_away_are_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_stream.streams.models.follower.RETRY_SECONDS", 0.05)
    create(settings)
    troubles: list[str | None] = []

    def make_facts() -> ClusterFacts:
        troubles.append(follower.trouble)
        if len(troubles) <= 2:
            message = "no broker answers"
            raise UnreachableError(message)
        return ClusterFacts(settings.kafka.brokers, settings.kafka.security)

    follower = ControlFollower(settings.topics.models, make_facts, lambda: open_consumer(settings))
    with writing(settings) as writer:
        writer.activate(activation("one"))
    assert follower.current("live") is None
    follower.start()
    follower.caught_up.result(WAIT_SECONDS)
    assert troubles == [None, "UnreachableError: no broker answers", "UnreachableError: no broker answers"]
    assert follower.current("live") == activation("one")
    follower.stop()


def test_two_workers_have_two_ids(settings: Settings) -> None:
    other = Settings.load(flags={"state.directory": "elsewhere"})
    named = Settings.load(flags={"app.instance_id": "w-7"})
    assert len({worker_id(settings), worker_id(other), worker_id(named)}) == 3
    assert worker_id(named) == "w-7"
    assert worker_id(settings) == worker_id(settings)
