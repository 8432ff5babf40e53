"""What the making of snapshots needs, and how it is shown.

Invariant: plain values; `GET /v1/snapshots` shows `PartitionSnapshots` as they are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from muse_stream.state.rules import StoreIdentity
from muse_stream.state.snapshot_manifest import Manifest


class Copied(Protocol):
    """The part of `state.store.BehaviourStore` that is used here; its contract is there."""

    @property
    def identity(self) -> StoreIdentity:
        """The log it is built from."""

    @property
    def position(self) -> int:
        """Next behaviours offset wanted."""

    @property
    def start_position(self) -> int:
        """The behaviours offset at which the store began."""

    def checkpoint(self, path: Path) -> None:
        """Write a consistent copy."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Where, how often, how many.

    Attributes:
        location: Of all snapshots.
        topic: Name of the behaviours topic.
        directory: Where the stores are.
        interval_seconds: Between two snapshots of a partition.
        keep: Snapshots kept per partition.
        tool: Version of the program.

    """

    location: str
    topic: str
    directory: Path
    interval_seconds: float
    keep: int
    tool: str


@dataclass(slots=True)
class PartitionSnapshots:
    """One partition, as it is shown.

    Attributes:
        partition: The partition.
        phase: `idle`, `waiting` (asked for) or `running`.
        attempts: How often one was tried here.
        done_bytes: Of the running one: read and, where need was, sent.
        total_bytes: Of the running one.
        latest: Name of the latest snapshot known here; None before one is.
        position: Its position.
        created_ms: When it was begun.
        total: Its bytes.
        sent: Of them, those that were not there yet; 0 where this worker did not make it.
        error: Why the last attempt failed; None after a success.

    """

    partition: int
    phase: str = "idle"
    attempts: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    latest: str | None = None
    position: int = 0
    created_ms: int = 0
    total: int = 0
    sent: int = 0
    error: str | None = None

    def made(self, manifest: Manifest, sent: int) -> None:
        """Show this one as the latest."""
        self.latest, self.position, self.created_ms = manifest.name, manifest.position, manifest.created_ms
        self.total, self.sent = manifest.total_bytes, sent
