"""Topics: what they must be, created once, never re-partitioned, compared line by line."""

import threading
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from muse_stream.streams.errors import TopicError, UnreachableError
from muse_stream.streams.kafka import topic_admin
from muse_stream.streams.kafka.admin import cluster_id, connect_admin
from muse_stream.streams.kafka.consumer import ConsumerOptions, make_consumer
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.producer import ProducerOptions, make_producer
from muse_stream.streams.kafka.topic_admin import TopicFinding, check_topics, ensure_topics
from muse_stream.streams.kafka.topics import Role, TopicNames, TopicSpec, topic_specs

TWINS: tuple[Role, ...] = ("behaviours", "users", "requests")
YEAR_2001_MS = 978_307_200_000


@pytest.fixture(scope="module")
def admin(kafka: EmbeddedKafka) -> Iterator[KafkaAdminClient]:
    with connect_admin(kafka.bootstrap) as client:
        yield client


def test_names_can_be_prefixed_and_set() -> None:
    names = TopicNames.prefixed("shop-")
    assert names.behaviours == "shop-behaviours"
    assert names.dead_letters == "shop-dead-letters"
    assert TopicNames(items="catalogue").by_role()["items"] == "catalogue"


def test_specs_say_what_the_design_asks() -> None:
    specs = {spec.role: spec for spec in topic_specs(partitions=12, replay_window_ms=1000)}
    assert {specs[role].partitions for role in TWINS} == {12}
    assert specs["items"].partitions == 1
    assert specs["behaviours"].configs["retention.ms"] == "-1"
    assert specs["behaviours"].configs["cleanup.policy"] == "delete"
    for spec in (specs["users"], specs["items"]):
        assert spec.configs["cleanup.policy"] == "compact"
        assert spec.configs["min.compaction.lag.ms"] == "1000"
        assert spec.configs["delete.retention.ms"] == "1000"
    stamped = {role for role, spec in specs.items() if spec.configs.get("message.timestamp.type") == "LogAppendTime"}
    assert stamped == {"behaviours", "users", "items", "requests", "models"}
    assert specs["models"].partitions == 1
    assert specs["models"].configs["cleanup.policy"] == "compact"
    assert "min.compaction.lag.ms" not in specs["models"].configs
    assert "min.insync.replicas" not in specs["users"].configs
    assert topic_specs(replication=3)[0].configs["min.insync.replicas"] == "2"


@pytest.mark.kafka
def test_ensure_is_idempotent(admin: KafkaAdminClient, topics: TopicNames) -> None:
    specs = topic_specs(topics, partitions=2)
    assert {outcome.action for outcome in ensure_topics(admin, specs)} == {"created"}
    assert {outcome.action for outcome in ensure_topics(admin, specs)} == {"unchanged"}
    assert all(finding.ok for finding in check_topics(admin, specs))


@pytest.mark.kafka
def test_ensure_puts_back_what_somebody_changed(admin: KafkaAdminClient, topics: TopicNames) -> None:
    specs = topic_specs(topics, partitions=2)
    ensure_topics(admin, specs)
    wrong = {"retention.ms": "60000", "message.timestamp.type": "CreateTime"}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.behaviours, wrong)])
    findings = wait_for_findings(admin, specs, 2)
    assert {finding.name for finding in findings} == {topics.behaviours}
    texts = " ".join(finding.text for finding in findings)
    assert "retention.ms=60000, expected -1" in texts
    assert "message.timestamp.type=CreateTime, expected LogAppendTime" in texts
    changed = [outcome for outcome in ensure_topics(admin, specs) if outcome.action == "changed"]
    assert [outcome.name for outcome in changed] == [topics.behaviours]
    assert changed[0].changes["retention.ms"] == ("60000", "-1")
    assert all(finding.ok for finding in check_topics(admin, specs))


def wait_for_findings(admin: KafkaAdminClient, specs: list[TopicSpec], count: int) -> list[TopicFinding]:
    """The brokers learn of changed settings a moment after the controller."""
    pause = threading.Event()
    for _ in range(400):
        findings = [finding for finding in check_topics(admin, specs) if not finding.ok]
        if len(findings) >= count:
            break
        pause.wait(0.05)
    return findings


@pytest.mark.kafka
def test_partition_mismatch_is_refused_and_nothing_is_changed(admin: KafkaAdminClient, topics: TopicNames) -> None:
    ensure_topics(admin, [spec for spec in topic_specs(topics, partitions=2) if spec.role == "users"])
    specs = topic_specs(topics, partitions=3)
    with pytest.raises(TopicError, match=f"{topics.users}: 2 partitions, expected 3") as caught:
        ensure_topics(admin, specs)
    assert "prefix" in str(caught.value)
    assert set(admin.list_topics()) & set(topics.by_role().values()) == {topics.users}
    findings = {finding.name: finding.text for finding in check_topics(admin, specs)}
    assert "2 partitions, expected 3" in findings[topics.users]
    assert "topics create" in findings[topics.behaviours]


@pytest.mark.kafka
def test_missing_replicas_are_found(admin: KafkaAdminClient, topics: TopicNames) -> None:
    ensure_topics(admin, topic_specs(topics, partitions=1))
    texts = [finding.text for finding in check_topics(admin, topic_specs(topics, partitions=1, replication=2))]
    assert all("1 replicas, expected 2" in text for text in texts)
    with pytest.raises(TopicError, match="replication"):
        ensure_topics(admin, topic_specs(TopicNames.prefixed(f"{topics.control}-"), replication=2))


@pytest.mark.kafka
def test_topic_that_another_process_just_created_is_accepted(
    admin: KafkaAdminClient, topics: TopicNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = topic_specs(topics, partitions=1)
    ensure_topics(admin, specs)
    monkeypatch.setattr(topic_admin, "_described", lambda _admin, _names: {})
    assert {outcome.action for outcome in ensure_topics(admin, specs)} == {"unchanged"}


@pytest.mark.kafka
def test_broker_stamps_the_records(admin: KafkaAdminClient, kafka: EmbeddedKafka, topics: TopicNames) -> None:
    ensure_topics(admin, topic_specs(topics, partitions=1))
    producer = make_producer("kafka-python", ProducerOptions(kafka.bootstrap))
    consumer = make_consumer("kafka-python", ConsumerOptions(kafka.bootstrap))
    for topic, is_broker_time in ((topics.behaviours, True), (topics.scores, False)):
        producer.send(topic, b"1", b"{}", timestamp_ms=YEAR_2001_MS).result(20)
        consumer.assign({(topic, 0): 0})
        (batch,) = consumer.poll(10, 20_000)
        assert (batch.broker_time_ms[0] != YEAR_2001_MS) == is_broker_time
    producer.close()
    consumer.close()


@pytest.mark.kafka
def test_cluster_id_is_the_cluster_s(admin: KafkaAdminClient, kafka: EmbeddedKafka) -> None:
    found = cluster_id(admin)
    assert found in (kafka.directory / "data" / "meta.properties").read_text()


def test_nobody_at_the_address_is_said() -> None:
    with (
        pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9 .*Nothing listens there"),
        connect_admin("127.0.0.1:9", timeout_ms=200),
    ):
        pass
