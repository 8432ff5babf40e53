"""Two workers on one installation; tests start and stop them as they need."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.streams.worker.client import Client
from tests.streams.worker.installation import Installation
from tests.streams.worker.together.pair import CAP, Pair, write_items

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka


@pytest.fixture(scope="package")
def installation(kafka: "EmbeddedKafka", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    sections: dict[str, Any] = {"state": {"cap": CAP}, "serving": {"age_max_ms": 600_000, "ready_wait_ms": 300_000}}
    directory = tmp_path_factory.mktemp("together")
    with Installation(directory, {"brokers": kafka.bootstrap}, **sections) as made:
        made.worker()
        made.worker()
        yield made


@pytest.fixture(scope="package")
def client(installation: Installation) -> Iterator[Client]:
    with Client(installation) as made:
        write_items(made)
        yield made


@pytest.fixture
def pair(installation: Installation) -> Pair:
    return Pair(*installation.workers)
