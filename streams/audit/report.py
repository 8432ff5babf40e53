"""What an audit found, as data.

Invariant: `ok` is True only where everything that was to be compared was compared and is equal.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from muse_stream.streams.audit.compare import Difference
from muse_stream.streams.audit.model import Counts

SHOWN = 10
"""Differences that a person is shown; all are counted."""


@dataclass(slots=True)
class PartitionReport:
    """One store.

    Attributes:
        partition: The partition.
        path: The store's directory.
        compared: The whole of every sequence; the whole, of which a verified snapshot gives the beginning; its end
            (the log has been shortened); or nothing.
        begin: First offset that was read; the position of that snapshot.
        position: The store's position, before which everything was read.
        note: Why not the whole.
        counts: What the records were.
        users: Users compared.
        differences: How many.
        shown: The first of them.
        lost: Behaviours that the log has and the store never got.
        doubled: Numbers that the store gave and the log does not account for.

    """

    partition: int
    path: str
    compared: Literal["whole", "snapshot", "end", "nothing"] = "nothing"
    begin: int = 0
    position: int = 0
    note: str = ""
    counts: Counts = field(default_factory=Counts)
    users: int = 0
    differences: int = 0
    shown: list[Difference] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0

    def add(self, difference: Difference) -> None:
        """Count one, and keep it while few are kept."""
        self.differences += 1
        self.lost += difference.lost
        self.doubled += difference.doubled
        if len(self.shown) < SHOWN:
            self.shown.append(difference)

    @property
    def how(self) -> str:
        """What was compared, for people."""
        return f"from snapshot at {self.begin:,} (verified)" if self.compared == "snapshot" else self.compared

    @property
    def ok(self) -> bool:
        """Compared, and equal."""
        return self.compared != "nothing" and not self.differences


@dataclass(slots=True)
class MemoryReport:
    """What a running worker keeps in memory, against its own stores.

    Attributes:
        url: The worker.
        users: Resident users compared.
        behaviours: Behaviours of theirs.
        behind: Users whose newest behaviours are not in memory; they are loaded again at their next use.
        vectors: Vectors compared.
        without_room: Vectors that the table's budget has no room for.
        differences: How many.
        shown: The first of them.

    """

    url: str
    users: int = 0
    behaviours: int = 0
    behind: int = 0
    vectors: int = 0
    without_room: int = 0
    differences: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count one, and keep it while few are kept."""
        self.differences += 1
        if len(self.shown) < SHOWN:
            self.shown.append(text)

    @property
    def ok(self) -> bool:
        """Equal."""
        return not self.differences


@dataclass(slots=True)
class AuditReport:
    """Everything.

    Attributes:
        partitions: The stores, by partition.
        memory: A running worker's; None where none was asked.

    """

    partitions: list[PartitionReport] = field(default_factory=list)
    memory: MemoryReport | None = None

    @property
    def ok(self) -> bool:
        """Nothing differs, and nothing was left out."""
        return all(one.ok for one in self.partitions) and (self.memory is None or self.memory.ok)

    def document(self) -> dict[str, Any]:
        """The report for `--json`."""
        stores = self.partitions
        memory = self.memory
        shown = [asdict(one) for store in stores for one in store.shown]
        return {
            "ok": self.ok,
            "behaviours": sum(one.counts.behaviours for one in stores),
            "users": sum(one.users for one in stores),
            "lost": sum(one.lost for one in stores),
            "doubled": sum(one.doubled for one in stores),
            "differences": sum(one.differences for one in stores) + (memory.differences if memory else 0),
            "shown": shown[:SHOWN],
            "partitions": [{**asdict(one), "ok": one.ok} for one in stores],
            "memory": {**asdict(memory), "ok": memory.ok} if memory else None,
        }
