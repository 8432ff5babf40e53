"""Fixtures that several rooms share: one embedded broker for the whole session, and topics of one's own."""

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka
    from muse_stream.streams.kafka.topics import TopicNames
    from tests.sharing import Sharing


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "Sharing":
    """Several processes share the tests in the way of `sharing`."""
    from tests.sharing import Sharing

    return Sharing(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, the longest part comes first."""
    if hasattr(config, "workerinput"):
        from tests.sharing import BROKERS, part_of

        items.sort(key=lambda item: part_of(item.nodeid) != BROKERS)


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
