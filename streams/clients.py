"""Kafka clients and topics as the settings say: the one place where settings meet the Kafka side.

Invariant: every client made here has the settings' brokers and security.
"""

from contextlib import AbstractContextManager

from kafka import KafkaAdminClient

from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.consumer import BatchConsumer, ConsumerOptions, make_consumer
from muse_stream.streams.kafka.producer import ProducerOptions, RecordProducer, make_producer
from muse_stream.streams.kafka.topics import REQUEST_BYTES, TopicNames, TopicSpec, topic_specs
from muse_stream.streams.settings import Settings

_HOUR_MS = 3_600_000


def topic_names(settings: Settings) -> TopicNames:
    """Full names of the topics."""
    topics = settings.topics
    return TopicNames(
        behaviours=topics.behaviours,
        users=topics.users,
        items=topics.items,
        requests=topics.requests,
        scores=topics.scores,
        dead_letters=topics.dead_letters,
        control=topics.prefix + TopicNames().control,
        models=topics.models,
    )


def wanted_topics(settings: Settings) -> list[TopicSpec]:
    """What the topics must be like."""
    return topic_specs(
        topic_names(settings),
        partitions=settings.topics.partitions,
        replication=settings.topics.replication,
        replay_window_ms=settings.topics.replay_window_hours * _HOUR_MS,
    )


def open_admin(settings: Settings, *, timeout_ms: int = 10_000) -> AbstractContextManager[KafkaAdminClient]:
    """A client for administration. Entering raises `UnreachableError` after at most `timeout_ms`."""
    return connect_admin(settings.kafka.brokers, settings.kafka.security, timeout_ms=timeout_ms)


def open_producer(settings: Settings, *, client_id: str = "muse-stream", linger_ms: int = 5) -> RecordProducer:
    """A producer of records of every topic, requests of the largest size included. Raises `UnreachableError`."""
    options = ProducerOptions(
        bootstrap=settings.kafka.brokers,
        security=settings.kafka.security,
        client_id=client_id,
        linger_ms=linger_ms,
        max_record_bytes=REQUEST_BYTES,
    )
    return make_producer(settings.kafka.driver, options)


def open_consumer(
    settings: Settings, *, client_id: str = "muse-stream", fetch_min_bytes: int = 1, fetch_max_wait_ms: int = 500
) -> BatchConsumer:
    """A reader of a few records, at once as they come: answers, not behaviours. Raises `UnreachableError`."""
    options = ConsumerOptions(
        bootstrap=settings.kafka.brokers,
        security=settings.kafka.security,
        client_id=client_id,
        fetch_min_bytes=fetch_min_bytes,
        fetch_max_wait_ms=fetch_max_wait_ms,
    )
    return make_consumer(settings.kafka.driver, options)
