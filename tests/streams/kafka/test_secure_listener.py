"""All clients get through a SASL_SSL listener with the right credentials, and none without."""

import asyncio
import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muse_stream.streams.errors import UnreachableError
from muse_stream.streams.kafka.admin import cluster_id, connect_admin
from muse_stream.streams.kafka.broker_config import SecureListener
from muse_stream.streams.kafka.consumer import DRIVERS, ConsumerOptions, make_consumer
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.producer import ProducerOptions, make_producer
from muse_stream.streams.kafka.security import Security
from tests.streams.kafka.certificates import make_certificates

pytestmark = pytest.mark.kafka
USER: dict[str, Any] = {"username": "alice", "password": "s3cret"}
TOPIC = "guarded"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def broker(directory: Path) -> Iterator[EmbeddedKafka]:
    files = make_certificates(directory)
    with EmbeddedKafka(secure=SecureListener(files.keystore, {USER["username"]: USER["password"]})) as started:
        with connect_admin(started.bootstrap) as admin:
            admin.create_topics({TOPIC: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        yield started


def security(directory: Path, **other: Any) -> Security:
    return Security(**{"protocol": "SASL_SSL", "ca_file": directory / "ca.pem", **USER, **other})


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_write_and_read(broker: EmbeddedKafka, directory: Path, driver: str, mechanism: str) -> None:
    allowed = security(directory, mechanism=mechanism)
    producer = make_producer(driver, ProducerOptions(broker.secure_bootstrap, allowed))
    written = producer.send(TOPIC, b"key", mechanism.encode()).result(20)
    consumer = make_consumer(driver, ConsumerOptions(broker.secure_bootstrap, security=allowed))
    consumer.assign({(TOPIC, 0): written.offset})
    (batch,) = consumer.poll(1, 20_000)
    assert batch.values == [mechanism.encode()]
    producer.close()
    consumer.close()


def test_administration(broker: EmbeddedKafka, directory: Path) -> None:
    with connect_admin(broker.secure_bootstrap, security(directory)) as admin:
        assert TOPIC in admin.list_topics()
        assert cluster_id(admin)


def test_faust_s_own_client(broker: EmbeddedKafka, directory: Path) -> None:
    """Faust talks through aiokafka; its translation of the credentials decides what arrives there."""
    from aiokafka.admin import AIOKafkaAdminClient
    from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

    async def names(allowed: Security) -> list[str]:
        options = credentials_to_aiokafka_auth(allowed.faust(), None)
        client = AIOKafkaAdminClient(bootstrap_servers=broker.secure_bootstrap, **options)
        await client.start()
        try:
            return list(await client.list_topics())
        finally:
            await client.close()

    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        assert TOPIC in asyncio.run(names(security(directory, mechanism=mechanism)))


@pytest.fixture
def _unclosed_sockets() -> Iterator[None]:
    """kafka-python leaves the socket of a failed TLS handshake to the collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.usefixtures("_unclosed_sockets")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("wrong", [{"password": "guess"}, {"ca_file": None}])
def test_wrong_password_or_authority(
    broker: EmbeddedKafka, directory: Path, driver: str, wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    refused = security(directory, **wrong)
    with pytest.raises(UnreachableError, match=r"SASL_SSL, user alice.*certificates") as caught:
        make_consumer(driver, ConsumerOptions(broker.secure_bootstrap, security=refused, connect_timeout_ms=600))
    with pytest.raises(UnreachableError, match="SASL_SSL, user alice"):
        make_producer(driver, ProducerOptions(broker.secure_bootstrap, refused, connect_timeout_ms=600))
    assert refused.password is not None
    assert refused.password.get_secret_value() not in str(caught.value) + caplog.text
