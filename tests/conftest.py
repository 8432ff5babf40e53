"""Fixtures that several rooms share: one embedded broker for the whole session, and topics of one's own."""

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka
    from muse_stream.streams.kafka.topics import TopicNames


@pytest.fixture(scope="session")
def kafka() -> Iterator["EmbeddedKafka"]:
    """A running broker (`kafka.bootstrap`), shared by all tests of the session: leave it running."""
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

    with EmbeddedKafka() as broker:
        yield broker


@pytest.fixture
def topics() -> "TopicNames":
    """Topic names that no other test has; nothing is created."""
    from muse_stream.streams.kafka.topics import TopicNames

    return TopicNames.prefixed(f"t{uuid.uuid4().hex[:8]}-")
