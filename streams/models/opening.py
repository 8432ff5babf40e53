"""Store, follower and writer as the settings say.

Invariant: a worker's id is its own and outlives a restart, so that a worker that was killed takes its report up again.
"""

import socket

from muse_stream.esu_scorer import ModelStore
from muse_stream.streams.clients import open_consumer, open_producer
from muse_stream.streams.kafka.facts import ClusterFacts
from muse_stream.streams.models.follower import ControlFollower, OnChange, ignore
from muse_stream.streams.models.writer import ControlWriter
from muse_stream.streams.settings import Settings

CACHE_DIRECTORY = "models"
"""Below `state.directory`: copies of a remote store's models."""


def open_store(settings: Settings) -> ModelStore | None:
    """The store of `model.store`; None where none is set. Raises `StoreUnreachableError`."""
    location = settings.model.store
    return None if location is None else ModelStore(location, settings.state.directory / CACHE_DIRECTORY)


def follow(settings: Settings, on_change: OnChange = ignore) -> ControlFollower:
    """A follower of the control topic, not started yet."""
    kafka, name = settings.kafka, f"{settings.app.name}-models"
    return ControlFollower(
        settings.topics.models,
        lambda: ClusterFacts(kafka.brokers, kafka.security, client_id=name),
        lambda: open_consumer(settings, client_id=name),
        on_change=on_change,
    )


def open_writer(settings: Settings) -> ControlWriter:
    """A writer of the control topic. Raises `UnreachableError`."""
    name = f"{settings.app.name}-models"
    return ControlWriter(open_producer(settings, client_id=name, linger_ms=0), settings.topics.models)


def worker_id(settings: Settings) -> str:
    """The key of this worker's report: its instance id, or its machine and its stores, which no two workers share."""
    return settings.app.instance_id or f"{socket.gethostname()}:{settings.state.directory.resolve()}"
