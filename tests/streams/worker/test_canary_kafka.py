"""The canary of a real worker: it comes back with and without vectors, counts nowhere else, and its silence grows.

What makes ingest stand still here is a transaction that nobody ends: it holds back every later record of a partition.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from muse_stream.streams.kafka.producer import ProducerOptions, RecordProducer, make_producer
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.canary import canary_users
from muse_stream.streams.wire.encode import encode_item
from muse_stream.streams.worker.canary import ERASE_EVERY
from tests.streams.worker.client import Client
from tests.streams.worker.installation import DIMENSION, Installation, Worker, until
from tests.streams.worker.log import read_topic

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka

PARTITIONS = 2
SILENT_SECONDS = 4.0
"""Many intervals, and beyond the timeout."""
COUNTS_REQUESTS = (
    "muse_requests_total",
    "muse_request_duration_seconds_count",
    "muse_request_stage_duration_seconds_count",
    "muse_request_batch_size_count",
    "muse_request_candidates_count",
    "muse_request_history_length_count",
    "muse_requests_shed_total",
    "muse_requests_deadline_exceeded_total",
    "muse_retrieval_found_behaviours_count",
    "muse_model_score_ratio_count",
)
COUNTS_BEHAVIOURS = (
    "muse_freshness_event_visible_seconds_count",
    "muse_freshness_broker_visible_seconds_count",
    "muse_ingest_users_erased_total",
    "muse_ingest_records_rejected_total",
)


@pytest.fixture(scope="module")
def installation(kafka: "EmbeddedKafka", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory: Path = tmp_path_factory.mktemp("canary")
    sections: dict[str, Any] = {
        "topics": {"partitions": PARTITIONS},
        "canary": {"interval_seconds": 0.2, "timeout_seconds": 1.5},
    }
    with Installation(directory, {"brokers": kafka.bootstrap}, **sections) as made:
        made.worker().start()
        yield made


@pytest.fixture(scope="module")
def worker(installation: Installation) -> Worker:
    return installation.workers[0].wait_ready()


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[Client]:
    with Client(installation) as made:
        yield made


def total(worker: Worker, *names: str) -> float:
    return sum(value for (name, _), value in worker.metrics().items() if name in names)


def seen(worker: Worker) -> float:
    return total(worker, "muse_canary_seen_total")


def unseen(worker: Worker, partition: int) -> float:
    return worker.metrics().get(("muse_canary_unseen_seconds", str(partition)), -1.0)


def wait_for_more(worker: Worker, count: int) -> None:
    """Wait until so many more canaries have come back."""
    wanted = seen(worker) + count
    until(lambda: seen(worker) >= wanted, f"{count} more canaries come back", worker)


def test_it_comes_back_where_no_item_has_a_vector(installation: Installation, worker: Worker) -> None:
    until(lambda: seen(worker) >= 2 * PARTITIONS, "canaries come back", worker)
    assert all(unseen(worker, partition) >= 0 for partition in range(PARTITIONS))
    freshness = worker.metrics()["muse_canary_freshness_seconds_count", ""]
    assert freshness >= 2 * PARTITIONS
    assert read_topic(installation, installation.topics.dead_letters) == []


def test_it_is_retrieved_where_items_have_vectors(installation: Installation, worker: Worker, client: Client) -> None:
    vector = np.random.default_rng(3).integers(-127, 128, DIMENSION, np.int8)
    client.put(installation.topics.items, *encode_item(41, vector=vector))
    wait_for_more(worker, 3 * PARTITIONS)
    assert b'"candidates":[41]' in read_topic(installation, installation.topics.requests)[-1].value
    assert worker.metrics()["muse_canary_missed_total", "absent"] == 0


def test_it_counts_nowhere_else_and_others_still_do(worker: Worker, client: Client) -> None:
    assert total(worker, *COUNTS_REQUESTS) == total(worker, *COUNTS_BEHAVIOURS) == 0
    assert worker.metrics()["muse_ingest_rows_applied_total", "serving,behaviours"] == 0
    written = client.behave(7, 41)
    where = {"partition": written.partition, "offset": written.offset}
    assert client.ask(7, [41], want="both", not_before=where).status is Status.OK
    wait_for_more(worker, 2 * PARTITIONS)
    found = worker.metrics()
    assert found["muse_ingest_rows_applied_total", "serving,behaviours"] == 1
    assert total(worker, "muse_requests_total") == found["muse_request_history_length_sum", ""] == 1
    assert found["muse_freshness_broker_visible_seconds_count", ""] == found["muse_model_score_ratio_count", ""] == 1
    assert found["muse_request_batch_size_sum", ""] == 1


def test_its_user_can_be_asked_about_and_has_a_short_history(worker: Worker, client: Client) -> None:
    wait_for_more(worker, PARTITIONS * (ERASE_EVERY + 2))
    before = total(worker, "muse_requests_total")
    for user in canary_users(PARTITIONS):
        answer = client.ask(user, [41], want="retrieved")
        assert answer.status is Status.OK
        assert answer.history_length is not None
        assert answer.history_length <= ERASE_EVERY
    assert total(worker, "muse_requests_total") == before


@pytest.fixture
def transactions(installation: Installation) -> Iterator[RecordProducer]:
    options = ProducerOptions(installation.settings.kafka.brokers, transactional_id=f"{installation.topics.prefix}held")
    producer = make_producer("kafka-python", options)
    yield producer
    producer.close()


def test_while_ingest_stands_still_its_silence_grows_there_and_ends_with_it(
    worker: Worker, client: Client, transactions: RecordProducer, installation: Installation
) -> None:
    topic = installation.topics.behaviours
    transactions.begin()
    transactions.send(topic, b"never", b"{}", partition=0).result(30)
    until(lambda: unseen(worker, 0) > SILENT_SECONDS, "nothing of partition 0 comes back", worker)
    found = worker.metrics()
    assert found["muse_canary_unseen_seconds", "1"] < found["muse_canary_unseen_seconds", "0"]
    assert found["muse_canary_missed_total", "not_ready"] > 0
    transactions.abort()
    until(lambda: unseen(worker, 0) < SILENT_SECONDS / 2, "canaries of partition 0 come back", worker)
    assert worker.metrics()["muse_canary_missed_total", "absent"] == 0
