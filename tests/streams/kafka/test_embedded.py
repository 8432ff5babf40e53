"""The embedded broker: ready means ready, its data survives it, and nothing survives its owner."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from muse_stream.streams.errors import BrokerError
from muse_stream.streams.kafka import embedded
from muse_stream.streams.kafka.admin import cluster_id, connect_admin
from muse_stream.streams.kafka.broker_config import Ports, SecureListener, server_properties
from muse_stream.streams.kafka.consumer import DRIVERS, BatchConsumer, ConsumerOptions, make_consumer
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.ports import free_ports
from muse_stream.streams.kafka.producer import ProducerOptions, make_producer
from tests.streams.kafka.test_guard import gone, wait_removed

OWNER = """
import sys, time
from muse_stream.streams.kafka.embedded import EmbeddedKafka
kafka = EmbeddedKafka().start()
print(kafka.pid, kafka.directory, flush=True)
time.sleep(600)
"""


def write(bootstrap: str, value: bytes) -> None:
    producer = make_producer("kafka-python", ProducerOptions(bootstrap))
    producer.send("kept", b"key", value).result(20)
    producer.close()


def read(consumer: BatchConsumer, count: int) -> list[bytes | None]:
    values: list[bytes | None] = []
    for _ in range(20):
        values += [value for batch in consumer.poll(100, 1000) for value in batch.values]
        if len(values) >= count:
            break
    return values


@pytest.mark.kafka
def test_data_address_and_readers_survive_stop_and_kill(tmp_path: Path) -> None:
    said: list[str] = []
    kafka = EmbeddedKafka(tmp_path / "cluster", report=said.append)
    with pytest.raises(BrokerError, match="start"):
        _ = kafka.bootstrap
    with kafka:
        assert kafka.start() is kafka
        address, pid = kafka.bootstrap, kafka.pid
        with connect_admin(address) as admin:
            identity = cluster_id(admin)
            admin.create_topics({"kept": {"num_partitions": 1}}, wait_for_metadata=True)
        write(address, b"one")
        readers = [make_consumer(driver, ConsumerOptions(address)) for driver in DRIVERS]
        for reader in readers:
            reader.assign({("kept", 0): 0})
            assert read(reader, 1) == [b"one"]
        kafka.stop()
        assert not kafka.running
        gone(pid)
        kafka.start()
        write(address, b"two")
        kafka.kill()
        kafka.start()
        assert kafka.bootstrap == address
        for reader in readers:
            assert read(reader, 1) == [b"two"]
            reader.seek(("kept", 0), 0)
            assert read(reader, 2) == [b"one", b"two"]
            reader.close()
        with connect_admin(address) as admin:
            assert cluster_id(admin) == identity
        pid = kafka.pid
    gone(pid)
    assert kafka.log_path.is_file()
    assert any("ready" in line for line in said)


@pytest.mark.kafka
def test_killed_owner_leaves_no_broker_and_no_directory() -> None:
    owner = subprocess.Popen([sys.executable, "-W", "ignore", "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, directory = owner.stdout.readline().split()
    assert "java" in psutil.Process(int(pid)).name()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    gone(int(pid))
    wait_removed(Path(directory))


@pytest.mark.kafka
def test_port_that_is_taken_in_between_is_given_up(kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = int(kafka.bootstrap.split(":")[1])
    choices = [[taken, *free_ports(2)], free_ports(3)]
    monkeypatch.setattr(embedded, "free_ports", lambda _count: choices.pop(0))
    with EmbeddedKafka() as other:
        assert other.bootstrap != kafka.bootstrap
        assert not choices


@pytest.mark.kafka
def test_broker_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "cluster", extra={"num.io.threads": "none"})
    with pytest.raises(BrokerError) as caught:
        broker.start()
    assert "num.io.threads" in str(caught.value)
    assert str(broker.log_path) in str(caught.value)
    assert not broker.running


@pytest.mark.kafka
def test_wanted_port_in_use_is_said_before_anything_starts(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    port = int(kafka.bootstrap.split(":")[1])
    with pytest.raises(BrokerError, match=f"port {port} .*in use"):
        EmbeddedKafka(tmp_path / "cluster", port=port).start()


def test_properties_bind_to_this_machine_only(tmp_path: Path) -> None:
    secure = SecureListener(tmp_path / "broker.pem", {"alice": "secret"})
    text = server_properties(tmp_path, Ports(1, 2, 3), secure=secure, extra={"num.io.threads": 1})
    lines = dict(line.split("=", 1) for line in text.splitlines())
    listeners = lines["listeners"].split(",")
    assert listeners == ["PLAINTEXT://127.0.0.1:1", "CONTROLLER://127.0.0.1:2", "SECURE://127.0.0.1:3"]
    assert lines["num.io.threads"] == "1"
    assert "SECURE:SASL_SSL" in lines["listener.security.protocol.map"]
    assert "secret" not in repr(secure)
    assert "SECURE" not in server_properties(tmp_path, Ports(1, 2))
