"""A control topic of one's own on the embedded broker, for the tests of several folders."""

from collections.abc import Iterator
from contextlib import contextmanager

from muse_stream.streams.clients import open_admin, wanted_topics
from muse_stream.streams.kafka.topic_admin import ensure_topics
from muse_stream.streams.models.opening import open_writer
from muse_stream.streams.models.writer import ControlWriter
from muse_stream.streams.settings import Settings


def create(settings: Settings) -> None:
    """The control topic alone."""
    with open_admin(settings) as admin:
        ensure_topics(admin, [spec for spec in wanted_topics(settings) if spec.role == "models"])


@contextmanager
def writing(settings: Settings) -> Iterator[ControlWriter]:
    writer = open_writer(settings)
    try:
        yield writer
    finally:
        writer.close()
