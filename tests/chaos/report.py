"""What a run came to.

Invariant: a run is good if and only if `differences` is empty.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Times:
    """Of some durations in seconds: how many, the middle one, the 95th of a hundred, the longest."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Times":
        """Nearest ranks."""
        found = sorted(seconds)
        if not found:
            return cls()
        p50, p95, top = (round(found[max(0, math.ceil(share * len(found)) - 1)], 2) for share in (0.5, 0.95, 1.0))
        return cls(len(found), p50, p95, top)

    def __str__(self) -> str:
        if not self.count:
            return "none"
        return f"p50 {self.p50:.1f} s, p95 {self.p95:.1f} s, max {self.max:.1f} s ({self.count})"


@dataclass
class Report:
    """One run.

    Attributes:
        command: What runs it again.
        seed: Its seed.
        seconds: How long it took, from the first start to the verdict.
        faults: Faults by kind.
        kills: Processes ended by kill -9.
        rebalances: Changes of assignment, as each worker counted its own.
        without_owner: Times that a partition had no owner, all partitions.
        without_owner_max: The longest of each partition.
        takeovers: From each kill to the first answer of the next owner, per partition that the killed worker owned.
        takeovers_alone: The same where nothing else was broken in between.
        requests: Requests by how they ended.
        written: Records and transactions by how they ended.
        behaviours: What the log's records are, by the audit's model.
        dead_letters: Dead letters, and repeats among them.
        ended_by_themselves: Workers that ended without a fault of ours; the last lines of their logs.
        exits: Exit codes after SIGTERM.
        late: Workers that had not ended half a minute after SIGTERM.
        copies: Stores audited.
        compared: Behaviours that they account for.
        left_out: Stores left out after a kill because earlier audits were still going on.
        memory: Behaviours compared in running workers' memory.
        found: How many differences.
        differences: The first of them.

    """

    command: str
    seed: int
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    rebalances: int = 0
    without_owner: Times = field(default_factory=Times)
    without_owner_max: dict[int, float] = field(default_factory=dict)
    takeovers: Times = field(default_factory=Times)
    takeovers_alone: Times = field(default_factory=Times)
    requests: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    behaviours: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    ended_by_themselves: list[str] = field(default_factory=list)
    exits: Counter[str] = field(default_factory=Counter)
    late: int = 0
    copies: int = 0
    compared: int = 0
    left_out: int = 0
    unreadable: int = 0
    memory: int = 0
    found: int = 0
    differences: list[str] = field(default_factory=list)
    kept: str = ""

    def differ(self, lines: Iterable[str]) -> None:
        """Count differences and keep the first."""
        for line in lines:
            self.found += 1
            if len(self.differences) < SHOWN:
                self.differences.append(line)

    @property
    def ok(self) -> bool:
        """Nothing differs."""
        return not self.found

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        plain = {one.name: _plain(getattr(self, one.name)) for one in fields(self)}
        return {"ok": self.ok, **plain, "ended_by_themselves": len(self.ended_by_themselves)}

    def lines(self) -> Sequence[str]:
        """For people."""
        longest = ", ".join(f"{number}: {seconds:.0f}" for number, seconds in sorted(self.without_owner_max.items()))
        return [
            f"{self.command}    ({self.seconds:.0f} s in all)",
            f"faults           {self.kills} kill -9; {counted(self.faults)}",
            f"workers          {self.rebalances} rebalances seen; after SIGTERM {counted(self.exits) or 'none'}, "
            f"{self.late} late; {len(self.ended_by_themselves)} ended by themselves",
            f"without owner    {self.without_owner}; longest by partition {longest or 'none'}",
            f"kill to answer   {self.takeovers}; with no other fault in between {self.takeovers_alone}",
            f"requests         {counted(self.requests)}",
            f"written          {counted(self.written)}",
            f"in the log       {counted(self.behaviours)}",
            f"dead letters     {counted(self.dead_letters)}",
            f"audited          {self.copies:,} copies, {self.compared:,} behaviours; {self.left_out} left out, "
            f"{self.unreadable} not readable at their moment; {self.memory:,} behaviours in memory",
            *(f"ended by itself: {text}" for text in self.ended_by_themselves[:3]),
            *self.differences,
            f"{self.found} differences" + (f"; everything is kept in {self.kept}" if self.kept else ""),
        ]


def _plain(value: Any) -> Any:
    """`asdict` would count a Counter's pairs."""
    if isinstance(value, Times):
        return asdict(value)
    return dict(value) if isinstance(value, Counter) else value


def counted(counts: Counter[str]) -> str:
    """Names and numbers in a line."""
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
