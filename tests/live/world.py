"""A whole installation that lives: topics, items, models, workers as processes, a load, and a Prometheus over it.

Invariant: whatever happens, nothing that was started is left running, and nothing stopped is left stopped.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muse_stream.benchmarks.serve_world import DIMENSION, SPACE, World, user_records
from muse_stream.streams.clients import open_producer
from muse_stream.streams.demo.feed import send_all
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.warm_up import warm_up
from tests.chaos.faults import everything_continues
from tests.chaos.fleet import Fleet
from tests.chaos.plan import ITEMS, USERS
from tests.live.load import Load, Rates
from tests.live.models import FIRST, SECOND, Models
from tests.live.prometheus import Prometheus, Scraping
from tests.live.query import Client
from tests.streams.worker.installation import PROGRAM, Installation, Worker, until

POOL_BYTES = 1 << 24
SHADOW_SHARE = 0.5
CANARY_SECONDS = 1.0
KERNELS = ("auto", 1, DIMENSION, 50)
"""What workers search with: compiled here once, where it was never, and not by all of them at the same time."""
EXPLAINED = 2
"""Candidates of a request that asks why; each costs as much as all that are scored."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to set up.

    Attributes:
        workers: How many.
        partitions: Of behaviours, users and requests.
        rates: The load.
        rules: Rule files of Prometheus.
        interval_seconds: Time between its scrapes, and between evaluations of the rules.
        shadow: Whether a second model scores beside the first.
        program: What a worker is started with.
        sections: Settings of the workers that differ from the world's own.

    """

    workers: int = 2
    partitions: int = 4
    rates: Rates = field(default_factory=Rates)
    rules: Sequence[Path] = ()
    interval_seconds: float = 1.0
    shadow: bool = True
    program: Sequence[str] = PROGRAM
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveWorld:
    """Everything that runs.

    Attributes:
        plan: What it was set up from.
        kafka: The broker.
        fleet: The workers, and what may be done to them.
        models: The model store.
        load: What is written and asked.
        prometheus: The server; `query` is its API.

    """

    plan: Plan
    kafka: EmbeddedKafka
    fleet: Fleet
    models: Models
    load: Load
    prometheus: Prometheus

    @property
    def settings(self) -> Settings:
        """Settings of a client."""
        return self.fleet.installation.settings

    @property
    def workers(self) -> list[Worker]:
        """All workers, running or not."""
        return [member.worker for member in self.fleet.members]

    @property
    def query(self) -> Client:
        """The server's API."""
        return self.prometheus.client

    def shared(self) -> bool:
        """Whether all workers are ready and each owns some of the partitions."""
        owned = [worker.owned() for worker in self.workers]
        every = set(range(self.plan.partitions))
        return all(owned) and set().union(*owned) == every and all(worker.ready() for worker in self.workers)

    def wait_shared(self) -> None:
        """Wait until it is so. Raises `AssertionError`, with what the workers said."""
        until(self.shared, "all workers are ready and share the partitions", *self.workers)


@contextmanager
def live_world(plan: Plan, kafka: EmbeddedKafka, directory: Path) -> Iterator[LiveWorld]:
    """Set it up: workers have read items and profiles and share the partitions, the load flows, Prometheus scrapes."""
    items = World.of(ITEMS)
    models = Models(directory, items)
    models.add(FIRST, seed=1)
    models.add(SECOND, seed=2)
    with ExitStack() as stack:
        installation = stack.enter_context(_installation(plan, kafka, directory, models))
        installation.program = plan.program
        settings = installation.settings
        _publish(settings, items)
        models.activate(settings, FIRST)
        if plan.shadow:
            models.activate(settings, SECOND, share=SHADOW_SHARE)
        fleet = Fleet(installation, kafka)
        stack.enter_context(everything_continues(fleet))
        warm_up(*KERNELS)
        for _ in range(plan.workers):
            fleet.start(fleet.make())
        load = Load(settings, lambda: [member.worker.url for member in fleet.members], plan.rates)
        urls = [member.worker.url for member in fleet.members]
        prometheus = Prometheus(Scraping(urls, plan.rules, plan.interval_seconds))
        world = LiveWorld(plan, kafka, fleet, models, load, prometheus)
        world.wait_shared()
        load.start()
        stack.callback(load.stop)
        stack.enter_context(prometheus)
        yield world


def _installation(plan: Plan, kafka: EmbeddedKafka, directory: Path, models: Models) -> Installation:
    sections: dict[str, dict[str, Any]] = {
        "topics": {"partitions": plan.partitions},
        "items": {"spaces": {SPACE: DIMENSION}},
        "engine": {"pool_bytes": POOL_BYTES},
        "canary": {"interval_seconds": CANARY_SECONDS},
        "serving": {"explain_candidates": EXPLAINED},
        "model": {"store": str(models.location), "threads": 1},
    }
    for name, section in plan.sections.items():
        sections[name] = {**sections.get(name, {}), **section}
    return Installation(directory, {"brokers": kafka.bootstrap}, **sections)


def _publish(settings: Settings, items: World) -> None:
    """Every item with its vector, every profile."""
    producer = open_producer(settings)
    try:
        send_all(producer, settings.topics.items, items.item_records())
        send_all(producer, settings.topics.users, user_records(list(range(1, USERS + 1))))
    finally:
        producer.close()
