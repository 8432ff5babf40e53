"""One world for all tests of this directory: two workers under load, and a Prometheus that scrapes them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.live.world import LiveWorld, Plan, live_world

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka


@pytest.fixture(scope="package")
def world(kafka: "EmbeddedKafka", tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorld]:
    """Leave its workers and its broker running."""
    with live_world(Plan(), kafka, tmp_path_factory.mktemp("live")) as made:
        yield made
