"""An installation whose one worker scores with the small model of `alone.world`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.streams.worker.alone.world import write_model
from tests.streams.worker.installation import Installation, Tree

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka


def scoring_sections(directory: Path) -> Tree:
    """What the settings say of the model, which is written into the directory, and of what it reads."""
    return {
        "model": {"path": str(write_model(directory))},
        "features": {"user": ["country"], "item": ["band"]},
    }


@contextmanager
def scoring(directory: Path, kafka: "EmbeddedKafka", **more: Mapping[str, Any]) -> Iterator[Installation]:
    """The installation; its worker has been started and may not be ready yet. `more` are further sections."""
    with Installation(directory, {"brokers": kafka.bootstrap}, **scoring_sections(directory), **more) as made:
        made.worker().start()
        yield made
