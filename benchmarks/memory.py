"""Memory of one worker that owns every partition: at rest, and with histories read, by number of partitions.

What a partition costs for itself (duplicate window, tails, RocksDB's own tables) shows in the difference; caches, write
buffers, pool and tables have one bound each for the whole process. Bounded by: docs/architecture.md, "Memory".
"""

import os
import re
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.benchmarks.serve_world import World
from muse_stream.streams.clients import open_admin, open_producer, wanted_topics
from muse_stream.streams.demo import feed
from muse_stream.streams.demo.worker_process import WorkerProcess, worker_command
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.ports import free_ports
from muse_stream.streams.kafka.topic_admin import ensure_topics
from muse_stream.streams.settings import Settings
from muse_stream.streams.settings.tree import PREFIX

MIB = 1 << 20
READY_SECONDS = 300.0
FLUSH_SECONDS = 120.0
_RESIDENT = re.compile(rb"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


def run(
    *, partitions: str = "1,16", users: int = 2_000, length: int = 1_000, items: int = 20_000, quick: bool = False
) -> list[Row]:
    """MiB resident in a worker, by number of partitions.

    Args:
        partitions: Numbers of partitions, separated by commas.
        users: Users in all.
        length: Behaviours of each.
        items: Items, all with a vector of 128.
        quick: A tenth of the users.

    """
    users = users // 10 if quick else users
    world, rows = World.of(items), []
    for count in map(int, partitions.split(",")):
        with _worker(world, count) as (settings, worker):
            url = f"{worker.url}/metrics"
            rest = _resident_bytes(url)
            worker.stop()
            _publish(settings, world, list(range(1, users + 1)), length)
            worker.start().wait_ready(READY_SECONDS)
            full = _resident_bytes(url)
        name = f"{count} partitions"
        rows.append(lower_is_better(f"{name}, nothing read", rest / MIB, "MiB", {}))
        rows.append(lower_is_better(f"{name}, {users * length:,} behaviours just read", full / MIB, "MiB", {}))
    return rows


def _resident_bytes(url: str) -> float:
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 -- http to a worker of our own
        found = _RESIDENT.search(reply.read())
    if found is None:
        message = f"{url} does not say process_resident_memory_bytes: this platform does not tell"
        raise RuntimeError(message)
    return float(found[1])


@contextmanager
def _worker(world: World, partitions: int) -> Iterator[tuple[Settings, WorkerProcess]]:
    """A Kafka and a ready worker that has read the items alone. Settings in the environment are ignored."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    directory = Path(tempfile.mkdtemp(prefix="muse-stream-bench-memory-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        kafka = stack.enter_context(EmbeddedKafka(report=lambda line: print(line, file=sys.stderr)))  # noqa: T201
        (port,) = free_ports(1)
        flags = {
            "kafka.brokers": kafka.bootstrap,
            "topics.partitions": partitions,
            "state.directory": directory / "state",
            "monitoring.ready_lag_records_max": 0,
            "canary.interval_seconds": 0,
            "http.port": port,
        }
        settings = Settings.load(None, flags)
        config = directory / "worker.yaml"
        config.write_text(settings.show_yaml(), encoding="utf-8")
        with open_admin(settings) as admin:
            ensure_topics(admin, wanted_topics(settings))
        producer = open_producer(settings)
        feed.send_all(producer, settings.topics.items, world.item_records())
        producer.flush(FLUSH_SECONDS)
        producer.close()
        url = f"http://{settings.http.host}:{settings.http.port}"
        worker = stack.enter_context(WorkerProcess(worker_command(config), url=url, log=directory / "worker.log"))
        worker.wait_ready(READY_SECONDS)
        yield settings, worker


def _publish(settings: Settings, world: World, users: list[int], length: int) -> None:
    producer, topic = open_producer(settings), settings.topics.behaviours
    try:
        for frame in world.histories(users, length, settings.topics.partitions):
            producer.send_many(topic, [frame.key], [frame.value], headers=frame.headers, partition=frame.partition)
        producer.flush(FLUSH_SECONDS)
    finally:
        producer.close()
