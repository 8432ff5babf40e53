"""What the demo plays on: a Kafka, topics, a model, one worker, all in one temporary directory.

Invariant: whatever was set up is gone when the context ends, and also when the demo is killed.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from muse_stream.streams.clients import open_admin, open_producer, wanted_topics
from muse_stream.streams.demo import feed
from muse_stream.streams.demo.dataset import ITEM_FEATURES, USER_FEATURES, OnlineRetail, load
from muse_stream.streams.demo.model_card import ModelCard, model_card
from muse_stream.streams.demo.worker_process import WorkerProcess, worker_command
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.ports import free_ports
from muse_stream.streams.kafka.topic_admin import ensure_topics
from muse_stream.streams.settings import Settings
from muse_stream.streams.settings.tree import PREFIX

Say = Callable[[str], None]
PARTITIONS = 4  # the smallest machine has two cores; four show that users are spread


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs.

    Attributes:
        retail: The bundled data.
        settings: Settings of worker and clients.
        config: The same as a file, for commands beside the demo.
        url: Base URL of the worker.
        worker: The worker's process.
        directory: Stores, model, logs.
        model: What the model says of itself.

    """

    retail: OnlineRetail
    settings: Settings
    config: Path
    url: str
    worker: WorkerProcess
    directory: Path
    model: ModelCard


@contextmanager
def set_up(say: Say, overrides: Mapping[str, object]) -> Iterator[Stage]:
    """Start Kafka and a worker that has all items and customers and no behaviour; `overrides` are settings.

    Variables of the environment that are settings are ignored: they belong to a real installation.

    Raises:
        StreamsError: Kafka or the worker did not start; the text quotes the log.

    """
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    directory = Path(tempfile.mkdtemp(prefix="muse-stream-demo-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        prepared = pool.submit(_prepare, directory)
        kafka = stack.enter_context(EmbeddedKafka(report=say))
        retail, model = prepared.result()
        settings = _settings(kafka.bootstrap, directory, model, overrides)
        config = directory / "demo.yaml"
        config.write_text(settings.show_yaml(), encoding="utf-8")
        say(f"publishing {len(retail.catalogue)} products with vectors and {len(retail.customers.user)} customers")
        _publish(settings, retail)
        url = f"http://{settings.http.host}:{settings.http.port}"
        worker = WorkerProcess(worker_command(config), url=url, log=directory / "worker.log", temporary=directory)
        say("starting one worker")
        stack.enter_context(worker)
        worker.wait_ready(on_line=lambda line: say(f"  worker: {line}"))
        say(f"worker ready at {url}")
        yield Stage(retail, settings, config, url, worker, directory, model_card(settings))


def _prepare(directory: Path) -> tuple[OnlineRetail, Path]:
    from muse_stream.streams.demo import artefact  # noqa: PLC0415 -- torch takes seconds to import; Kafka starts meanwhile

    retail = load()
    return retail, artefact.write_bundled(directory / "models")


def _settings(brokers: str, directory: Path, model: Path, overrides: Mapping[str, object]) -> Settings:
    (port,) = free_ports(1)
    usual = {
        "app.name": "muse-demo",
        "topics.partitions": PARTITIONS,
        "features.user": list(USER_FEATURES),
        "features.item": list(ITEM_FEATURES),
        "model.path": model,
        "http.port": port,
        "canary.interval_seconds": 0,  # what the demo counts, it counts to the record
    }
    fixed = {"kafka.brokers": brokers, "state.directory": directory / "state"}
    return Settings.load(None, {**usual, **overrides, **fixed})


def _publish(settings: Settings, retail: OnlineRetail) -> None:
    with open_admin(settings) as admin:
        ensure_topics(admin, wanted_topics(settings))
    producer = open_producer(settings)
    try:
        feed.send_all(producer, settings.topics.items, feed.encode_items(retail.catalogue))
        feed.send_all(producer, settings.topics.users, feed.encode_customers(retail.customers))
    finally:
        producer.close()
