"""A place for a model: what runs there, what is on its way, and what was refused last.

Invariant: what runs is replaced as one reference, so whoever reads it once has model, engine and vectors that belong
together. Only the slot's keeper replaces it.
"""

import time
from dataclasses import dataclass

from muse_stream.monitoring import ModelReading
from muse_stream.streams.serving.live import Live
from muse_stream.streams.worker.swapping.target import Progress, Refusal, SlotName


@dataclass(frozen=True, slots=True)
class InService:
    """A model that runs.

    Attributes:
        name: Of the artefact, in the store or on disk.
        live: The bundle.
        loaded_at_seconds: Since when, as Unix time.
        share: Of the requests that it scores; 1 for the one that answers.

    """

    name: str
    live: Live
    loaded_at_seconds: float
    share: float = 1.0


class Slot:
    """Written by one thread, read by any."""

    def __init__(self, name: SlotName) -> None:
        self.name: SlotName = name
        self.running: InService | None = None
        self.progress: Progress | None = None
        self.refusal: Refusal | None = None

    @property
    def live(self) -> Live:
        """The bundle that runs.

        Raises:
            LookupError: Nothing runs.

        """
        running = self.running
        if running is None:
            message = f"slot {self.name} is empty; a slot that answers gets its model before the first request"
            raise LookupError(message)
        return running.live

    def install(self, name: str, live: Live, share: float = 1.0) -> None:
        """Let this bundle run from now on."""
        self.running = InService(name, live, time.time(), share)
        self.progress = self.refusal = None

    def empty(self) -> None:
        """Let nothing run."""
        self.running = self.progress = self.refusal = None

    def reading(self) -> ModelReading | None:
        """What monitoring shows; None while nothing runs."""
        running = self.running
        info = running.live.info if running else None
        if running is None or info is None:
            return None
        note = str(self.progress or self.refusal or "")
        return ModelReading(info.version, info.digest, running.loaded_at_seconds, self.name, note)
