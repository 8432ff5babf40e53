"""Behaviours per second from a real broker to durable state, one process, and what a steady stream costs.

The broker is the embedded Kafka on the same machine, the log is written before the clock starts, users follow Zipf's
law (1.05). Ours ends when the stores' positions have reached the log's end, so every behaviour is in a write batch with
its position. The peers (`ingest_peers`) read the same JSON log, each in a process of its own with its own defaults: a
Faust agent that only counts, a Faust table with a count per user, Quix Streams with a count per user in its state.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from muse_stream.benchmarks.append import zipf_users
from muse_stream.benchmarks.report import Row, higher_is_better
from muse_stream.state.budget import StoreBudget
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.ingest.clients import KafkaLetterSink
from muse_stream.streams.ingest.opening import PartitionParts
from muse_stream.streams.ingest.ports import I64
from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.ingest.status import Phase
from muse_stream.streams.kafka.admin import connect_admin
from muse_stream.streams.kafka.consumer import ConsumerOptions, make_consumer
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.producer import ProducerOptions, RecordProducer, make_producer
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours, warm_up
from muse_stream.streams.wire.encode import encode_behaviours
from muse_stream.streams.wire.users import UserRules, decode_users

PARTITIONS = 8
TIME_MS = 1_700_000_000_000
STEADY_RATE = 10_000
STEADY_SECONDS = 15.0
USERS_TOPIC, LETTERS_TOPIC = "users", "dead-letters"
JSON_ROWS = 1_000_000
FRAME_ROWS = 4_000_000
"""Enough rows for several seconds at the expected rates."""
PEERS = Path(__file__).resolve().with_name("ingest_peers.py")
OWN_ENVIRONMENT = {"Quix Streams stateful": "quixstreams"}
PEER_ROWS = {"Faust agent that counts": 60_000, "Faust table": 15_000, "Quix Streams stateful": 150_000}


class NoEngine:
    """Nobody is resident."""

    def append(self, users: I64, starts: I64, bounds: I64, items: I64) -> None:
        """Nothing to do."""

    def drop(self, users: I64) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Behaviours to send."""

    user: I64
    item: I64
    time_ms: I64
    action: "np.ndarray[tuple[int], np.dtype[np.uint8]]"


def run(*, quick: bool = False) -> list[Row]:
    """Rates by driver and format, with peers on the same log, then CPU per worker at 10 000 behaviours/s.

    Args:
        quick: A tenth of the rows, for a look.

    """
    scale = 10 if quick else 1
    warm_up()
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as scratch:
        bootstrap = kafka.bootstrap
        json_rows, frame_rows = JSON_ROWS // scale, FRAME_ROWS // scale
        write_log(bootstrap, "json", columns(json_rows), frames=False)
        write_log(bootstrap, "frames", columns(frame_rows), frames=True)
        peers = measure_peers(bootstrap, "json", scale)
        rows = []
        for driver in ("kafka-python", "confluent"):
            for topic, count in (("json", json_rows), ("frames", frame_rows)):
                rate, cpu_us = measure(bootstrap, driver, topic, Path(scratch) / f"{driver}-{topic}", count)
                rows.append(higher_is_better(f"{driver}, {topic}", rate, "behaviours/s", peers))
                rows.append(Row(f"{driver}, {topic}, CPU", cpu_us, "µs/behaviour"))
        rows += [Row(f"peer: {name}", rate, "behaviours/s") for name, rate in peers.items()]
        for driver in ("kafka-python", "confluent"):
            cores = steady_cores(bootstrap, driver, Path(scratch) / f"steady-{driver}", STEADY_SECONDS / scale)
            rows.append(Row(f"{driver}, steady {STEADY_RATE}/s of JSON", cores * 100, "% of a core"))
    return rows


def columns(rows: int, seed: int = 0) -> Columns:
    """Behaviours of Zipf-distributed users."""
    rng = np.random.default_rng(seed)
    return Columns(
        user=zipf_users(rng, rows),
        item=rng.integers(1, 10_000_000, rows),
        time_ms=TIME_MS + np.arange(rows),
        action=rng.integers(0, 6, rows).astype(np.uint8),
    )


def create_topic(bootstrap: str, name: str, partitions: int) -> None:
    """Create a topic as ours are, unless it is there."""
    with connect_admin(bootstrap) as admin:
        if name not in admin.list_topics():
            configs = {"message.timestamp.type": "LogAppendTime"}
            admin.create_topics({name: {"num_partitions": partitions, "configs": configs}}, wait_for_metadata=True)


def fast_producer(bootstrap: str) -> RecordProducer:
    """The faster driver if it is installed: what is measured here is reading."""
    try:
        return make_producer("confluent", ProducerOptions(bootstrap, linger_ms=20))
    except ImportError:
        return make_producer("kafka-python", ProducerOptions(bootstrap, linger_ms=20))


def write_log(bootstrap: str, topic: str, data: Columns, *, frames: bool) -> None:
    """Write all behaviours as JSON records or as frames of 1 000."""
    create_topic(bootstrap, topic, PARTITIONS)
    create_topic(bootstrap, USERS_TOPIC, PARTITIONS)
    create_topic(bootstrap, LETTERS_TOPIC, 1)
    producer = fast_producer(bootstrap)
    if frames:
        for record in encode_behaviours(data.user, data.item, data.time_ms, data.action, partition_count=PARTITIONS):
            producer.send_many(topic, [record.key], [record.value], headers=record.headers, partition=record.partition)
    else:
        for keys, values in json_records(data):
            producer.send_many(topic, keys, values)
    producer.flush(120)
    producer.close()


def json_records(data: Columns, step: int = 10_000) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Keys and JSON values, `step` at a time."""
    encode = msgspec.json.Encoder().encode
    for first in range(0, len(data.user), step):
        part = slice(first, first + step)
        triples = zip(data.item[part].tolist(), data.time_ms[part].tolist(), data.action[part].tolist(), strict=True)
        values = [encode({"item": item, "time_ms": time_ms, "action": action}) for item, time_ms, action in triples]
        yield [str(user).encode() for user in data.user[part].tolist()], values


@contextmanager
def service(bootstrap: str, driver: str, topic: str, directory: Path) -> Iterator[IngestService]:
    """An ingest service on all partitions of `topic`."""
    budget = StoreBudget()

    def open_store(partition: int, start: int) -> BehaviourStore:
        identity = StoreIdentity("benchmark", topic, partition, PARTITIONS)
        return BehaviourStore.open(directory / str(partition), identity, Rules(), budget=budget)

    parts = PartitionParts(
        behaviours=topic,
        users=USERS_TOPIC,
        open_store=open_store,
        decode_behaviours=partial(decode_behaviours, rules=BehaviourRules(partition_count=PARTITIONS)),
        decode_users=partial(decode_users, rules=UserRules(partition_count=PARTITIONS)),
        engine=NoEngine(),
    )
    letters = make_producer("kafka-python", ProducerOptions(bootstrap))
    sink = KafkaLetterSink(letters, LETTERS_TOPIC)
    options = ConsumerOptions(bootstrap, group=f"{topic}-{driver}-ingest")
    ingest = IngestService(parts, partial(make_consumer, driver, options), sink)
    ingest.start()
    try:
        yield ingest
    finally:
        ingest.stop()
        sink.close()
        letters.close()


def wait_ready(ingest: IngestService) -> None:
    """Wait until every partition has what was in the log at its assignment."""
    while True:
        states = ingest.states().values()
        failed = [state.error for state in states if state.phase is Phase.FAILED]
        if failed:
            raise RuntimeError(failed[0])
        if states and all(state.ready for state in states):
            return
        time.sleep(0.005)


def measure(bootstrap: str, driver: str, topic: str, directory: Path, rows: int) -> tuple[float, float]:
    """Behaviours per second from assignment to all positions at the end of the log, and CPU µs of each, all threads."""
    with service(bootstrap, driver, topic, directory) as ingest:
        began, cpu = time.perf_counter(), time.process_time()
        ingest.assign(range(PARTITIONS))
        wait_ready(ingest)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        ingest.call(lambda: None).result()  # the turn that stored the last batch has then ended, counts included
        stored = 0
        for partition in range(PARTITIONS):
            with ingest.stores.lease(partition) as store:
                stored += store.stats().behaviours
    if stored != rows:
        message = f"{driver}, {topic}: {stored} behaviours are stored, the log has {rows}"
        raise RuntimeError(message)
    return rows / seconds, cpu / rows * 1e6


def steady_cores(bootstrap: str, driver: str, directory: Path, seconds: float) -> float:
    """CPU seconds per second of this process while it ingests a steady stream that another process sends."""
    topic = f"steady-{driver}"
    create_topic(bootstrap, topic, PARTITIONS)
    with service(bootstrap, driver, topic, directory) as ingest:
        ingest.assign(range(PARTITIONS)).result(60)
        wait_ready(ingest)
        command = [sys.executable, "-m", __spec__.name, bootstrap, topic, str(seconds + 4)]
        sender = subprocess.Popen(command)
        time.sleep(3)
        cpu, began = time.process_time(), time.perf_counter()
        time.sleep(seconds)
        cores = (time.process_time() - cpu) / (time.perf_counter() - began)
        sender.wait(60)
    return cores


def send_steadily(bootstrap: str, topic: str, seconds: float) -> None:
    """Send STEADY_RATE behaviours a second, in ticks of 10 ms."""
    tick = STEADY_RATE // 100
    producer = fast_producer(bootstrap)
    began = time.perf_counter()
    for number, (keys, values) in enumerate(json_records(columns(int(STEADY_RATE * seconds)), tick)):
        producer.send_many(topic, keys, values)
        time.sleep(max(0.0, began + number / 100 - time.perf_counter()))
    producer.flush(30)
    producer.close()


def measure_peers(bootstrap: str, topic: str, scale: int = 1) -> dict[str, float]:
    """Records per second of each peer on the same log; one that is not installed is left out and says so."""
    rates = {}
    for name, rows in PEER_ROWS.items():
        command = [_python_with(name), str(PEERS), name, bootstrap, topic, str(rows // scale)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            sys.stderr.write(f"left out: {name}: {done.stderr.strip().splitlines()[-1]}\n")
        else:
            rates[name] = float(json.loads(done.stdout.splitlines()[-1])["rate"])
    return rates


def _python_with(peer: str) -> str:
    """The interpreter of a peer whose pins clash with ours, if `scripts/bench_env.sh` made its environment."""
    other = PEERS.parents[1] / ".bench-venv" / "peers" / OWN_ENVIRONMENT.get(peer, "") / "bin" / "python"
    return str(other) if other.exists() else sys.executable


if __name__ == "__main__":
    send_steadily(sys.argv[1], sys.argv[2], float(sys.argv[3]))
