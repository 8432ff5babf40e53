"""The whole path over SASL and TLS: no client of ours, Faust's included, uses another way in."""

from pathlib import Path

import numpy as np
import pytest

from muse_stream.streams.kafka.broker_config import SecureListener
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.encode import encode_item, encode_user
from muse_stream.streams.wire.requests import NotBefore
from tests.streams.kafka.certificates import make_certificates
from tests.streams.worker.client import Client
from tests.streams.worker.installation import DIMENSION, Installation, until
from tests.streams.worker.log import LogModel, copies, read_topic

pytestmark = pytest.mark.kafka
PASSWORD = "not to be seen anywhere"  # noqa: S105 - of a broker that lives for a test


def test_a_request_after_behaviours_over_sasl_ssl(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    with EmbeddedKafka(secure=SecureListener(files.keystore, {"muse": PASSWORD})) as broker:
        security = {
            "protocol": "SASL_SSL",
            "mechanism": "SCRAM-SHA-512",
            "username": "muse",
            "password": PASSWORD,
            "ca_file": str(files.ca_file),
        }
        kafka = {"brokers": broker.secure_bootstrap, "security": security}
        with Installation(tmp_path, kafka) as installation, Client(installation) as client:
            worker = installation.worker().start().wait_ready()
            client.put(client.topics.items, *encode_item(3, vector=np.arange(1, DIMENSION + 1, dtype=np.int8)))
            client.put(client.topics.users, *encode_user(1, {"129_1": 5}))
            client.put(client.topics.behaviours, b"1", b"poison")
            written = [client.behave(1, item) for item in (3, 4, 3)][-1]
            until(lambda: worker.get("/v1/status").body["items"]["version"] > 0, "the item", worker)
            after = NotBefore(written.partition, written.offset)
            answer = client.ask(1, [3], want="both", k=2, not_before=after)
            until(lambda: read_topic(installation, client.topics.dead_letters), "a dead letter", worker)
            assert worker.stop() == 0
            model = LogModel(read_topic(installation, client.topics.behaviours), cap=100_000)
            for partition, path in copies(worker.state).items():
                assert model.differences(path, partition) == []
            words = worker.log.read_text(encoding="utf-8")
    assert answer.status is Status.OK
    assert answer.retrieved is not None
    assert answer.retrieved[0].position == [2, 0]
    assert answer.scores is not None
    assert PASSWORD not in words
    assert "owns partitions [0, 1, 2, 3]" in words
