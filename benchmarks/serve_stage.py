"""What requests are measured on: a Kafka, a made-up world in its logs, one worker, behaviours that keep arriving.

Invariant: the worker starts when items, profiles and histories are in the log and is ready when it has read them, so
nothing of the preparation is left to do while requests are measured. Everything is gone when the context ends.
"""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from muse_stream.benchmarks.serve_world import DIMENSION, OTHER_SPACE, SPACE, World, user_records
from muse_stream.streams.clients import open_admin, open_producer, wanted_topics
from muse_stream.streams.demo import feed
from muse_stream.streams.demo.worker_process import WorkerProcess, worker_command
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.guarded import GuardedProcess
from muse_stream.streams.kafka.ports import free_ports
from muse_stream.streams.kafka.topic_admin import ensure_topics
from muse_stream.streams.settings import Settings
from muse_stream.streams.settings.tree import PREFIX

Say = Callable[[str], None]
PARTITIONS = 4
MODELS = "models"
FIRST, OTHER, MOVED = "first", "other", "moved"
"""Names of models: the one that answers, another of its space, one of the other space."""
SLOT_BYTES = 4  # of the pool, per behaviour
POOL_USERS = 8  # of the longest history fit the pool, a few more than are kept resident
POOL_SLACK = 1.05  # part-filled pages
POOL_BYTES_MIN = 1 << 20  # the setting's own bound
RESIDENT_USERS = 6
RING_USERS_MIN = 24
BLOCK_CACHE_BYTES = 32 << 20  # less than the rings hold, so that a cold history is read from files
WORKER_SECONDS = 300.0  # reads all histories first
FLUSH_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """What to prepare: items, history lengths, behaviours per second beside the requests, the worker's client.

    `swaps`: also two more models, and vectors in a second space.
    """

    items: int
    lengths: tuple[int, ...]
    behaviours_per_second: float
    driver: str
    swaps: bool = False

    @property
    def pool_bytes(self) -> int:
        """Bytes of the worker's history pool."""
        return max(POOL_BYTES_MIN, int(POOL_USERS * max(self.lengths) * SLOT_BYTES * POOL_SLACK))

    def ring(self, length: int) -> list[int]:
        """Users of that length: twice as many as the pool holds, so who is asked in turn has left it meanwhile."""
        count = max(RING_USERS_MIN, 2 * self.pool_bytes // (SLOT_BYTES * length))
        first = 1_000_000_000 * (1 + self.lengths.index(length))
        return list(range(first, first + count))

    def resident(self, length: int) -> list[int]:
        """Users of that length who all fit the pool: the last of the ring, so that a turn begins with others."""
        return self.ring(length)[-RESIDENT_USERS:]


@dataclass(slots=True)
class Stage:
    """Everything that runs.

    Attributes:
        sizes: What was prepared.
        world: The items.
        client: Settings of the clients: the faster driver where it is installed, so that they take less of the machine.
        worker: The worker's process; its `url` has the metrics.
        directory: Stores, model, logs, configuration.

    """

    sizes: Sizes
    world: World
    client: Settings
    worker: WorkerProcess
    directory: Path

    @contextmanager
    def behaviours(self) -> Iterator[None]:
        """Let behaviours arrive, from a process of its own, for as long as the context lasts."""
        asked = [str(user) for length in self.sizes.lengths for user in self.sizes.ring(length)]
        rate, items = str(self.sizes.behaviours_per_second), str(len(self.world.item))
        config = str(self.directory / "client.yaml")
        command = [sys.executable, "-m", "muse_stream.benchmarks.serve_feed", config, rate, items, *asked]
        process = GuardedProcess(command, log=self.directory / "feed.log", temporary=None)
        try:
            yield
            if not process.running():
                message = f"the sender of behaviours ended: {(self.directory / 'feed.log').read_text(encoding='utf-8')}"
                raise RuntimeError(message)
        finally:
            process.end("stop")


@contextmanager
def set_up(sizes: Sizes, say: Say) -> Iterator[Stage]:
    """Start Kafka, write the world, start a worker that has read it.

    Variables of the environment that are settings are ignored.

    Raises:
        StreamsError: Kafka or the worker did not start; the text quotes the log.

    """
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    directory = Path(tempfile.mkdtemp(prefix="muse-stream-bench-serve-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        kafka = stack.enter_context(EmbeddedKafka(report=say))
        world = World.of(sizes.items)
        _save_models(world, directory / MODELS, swaps=sizes.swaps)
        worker_settings = _settings(kafka.bootstrap, directory, sizes)
        client = _client(worker_settings)
        for name, settings in (("worker", worker_settings), ("client", client)):
            (directory / f"{name}.yaml").write_text(settings.show_yaml(), encoding="utf-8")
        say(f"writing {len(world.item)} items and histories of {', '.join(map(str, sizes.lengths))} behaviours")
        _publish(client, world, sizes)
        say("starting a worker, which reads them")
        url = f"http://{worker_settings.http.host}:{worker_settings.http.port}"
        worker = WorkerProcess(worker_command(directory / "worker.yaml"), url=url, log=directory / "worker.log")
        stack.enter_context(worker)
        worker.wait_ready(WORKER_SECONDS)
        yield Stage(sizes, world, client, worker, directory)


def _save_models(world: World, store: Path, *, swaps: bool) -> None:
    spaces = {FIRST: SPACE, OTHER: SPACE, MOVED: OTHER_SPACE} if swaps else {FIRST: SPACE}
    for seed, (name, space) in enumerate(spaces.items()):
        world.artefact(seed=seed, space=space).save(store / name)


def _settings(brokers: str, directory: Path, sizes: Sizes) -> Settings:
    (port,) = free_ports(1)
    flags: Mapping[str, object] = {
        "app.name": "muse-bench-serve",
        "kafka.brokers": brokers,
        "kafka.driver": sizes.driver,
        "topics.partitions": PARTITIONS,
        "state.directory": directory / "state",
        "state.block_cache_bytes": BLOCK_CACHE_BYTES,
        "engine.pool_bytes": sizes.pool_bytes,
        "items.spaces": dict.fromkeys((SPACE, OTHER_SPACE) if sizes.swaps else (SPACE,), DIMENSION),
        "model.path": directory / MODELS,
        "model.active": FIRST,
        "model.store": str(directory / MODELS),
        "monitoring.ready_lag_records_max": 0,
        "canary.interval_seconds": 0,
        "http.port": port,
    }
    return Settings.load(None, flags)


def _client(settings: Settings) -> Settings:
    driver = "confluent" if importlib.util.find_spec("confluent_kafka") else "kafka-python"
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"driver": driver})})


def _publish(settings: Settings, world: World, sizes: Sizes) -> None:
    with open_admin(settings) as admin:
        ensure_topics(admin, wanted_topics(settings))
    producer = open_producer(settings)
    topics = settings.topics
    try:
        feed.send_all(producer, topics.items, world.item_records(other_space=sizes.swaps))
        for length in sizes.lengths:
            users = sizes.ring(length)
            feed.send_all(producer, topics.users, user_records(users))
            for frame in world.histories(users, length, PARTITIONS):
                producer.send_many(
                    topics.behaviours, [frame.key], [frame.value], headers=frame.headers, partition=frame.partition
                )
        producer.flush(FLUSH_SECONDS)
    finally:
        producer.close()
