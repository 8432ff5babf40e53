"""One worker for all tests of this folder, a small seeded world, and a client."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.streams.worker.alone.world import ANSWER_BYTES, CANDIDATES_MAX, World, build_world
from tests.streams.worker.client import Client
from tests.streams.worker.collector import Collector
from tests.streams.worker.installation import Installation, Worker
from tests.streams.worker.scoring import scoring

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """Where the worker sends spans, a tenth of a second after they were made."""
    with pytest.MonkeyPatch.context() as patch, Collector() as made:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield made


@pytest.fixture(scope="package")
def installation(
    kafka: "EmbeddedKafka", collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    more: dict[str, Any] = {
        "serving": {"answer_max_bytes": ANSWER_BYTES, "candidates_max": CANDIDATES_MAX},
        "monitoring": {"slow_request_ms": 0, "log_format": "json"},
        "tracing": {"endpoint": collector.endpoint, "sample_share": 0.0},
    }
    with scoring(tmp_path_factory.mktemp("alone"), kafka, **more) as made:
        yield made


@pytest.fixture(scope="package")
def worker(installation: Installation) -> Worker:
    return installation.workers[0].wait_ready()


@pytest.fixture(scope="package")
def client(installation: Installation) -> Iterator[Client]:
    with Client(installation) as made:
        yield made


@pytest.fixture(scope="package")
def world(worker: Worker, client: Client) -> World:
    return build_world(worker, client)
