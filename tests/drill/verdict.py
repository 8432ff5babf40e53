"""What a drill came to: which alerts each fault raised, when, and whether that is right.

A fault is right if and only if each of its own alerts fired in time, lasted until the repair and was gone in time after
it, nothing fired that was not declared for it, and no worker ended that was not meant to. A drill is right if every
fault was, and nothing fired before the first.

Invariant: what was not seen counts as wrong. A fault that raises nothing is wrong; so is a drill without faults.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]
"""Name and severity: a page and a ticket of one name are two alerts."""
NEVER = "never"
COLUMNS = ("fault", "alert", "fires after s", "resolves after s", "other alerts")


@dataclass(frozen=True, slots=True)
class Declared:
    """What a fault is expected to raise.

    Attributes:
        own: Alerts that must fire, each of them, by name and severity.
        allowed: Names of alerts that may: true consequences of the fault.

    """

    own: tuple[Key, ...]
    allowed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert during one fault.

    Attributes:
        alert: Its name.
        severity: Its label.
        fired: Seconds from the fault to the first look that found it firing.
        resolved: Seconds from the repair to the first look that found it gone for good, below 0 where that was before
            the repair; None: it never was.

    """

    alert: str
    severity: str
    fired: float
    resolved: float | None

    @property
    def key(self) -> Key:
        """Which alert it is."""
        return self.alert, self.severity


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fault.

    Attributes:
        fault: Its name.
        declared: What was expected.
        episodes: What fired.
        trouble: What else went wrong: workers that ended by themselves, a repair that did not take.

    """

    fault: str
    declared: Declared
    episodes: Sequence[Episode] = ()
    trouble: Sequence[str] = ()

    def of(self, key: Key) -> Episode | None:
        """The episode of an alert, None where it did not fire."""
        return next((one for one in self.episodes if one.key == key), None)

    def problems(self) -> Iterator[str]:
        """Everything that is wrong."""
        yield from (f"{self.fault}: {text}" for text in self.trouble)
        if not self.declared.own:
            yield f"{self.fault}: it has no alert of its own"
        for name, severity in self.declared.own:
            if self.of((name, severity)) is None:
                yield f"{self.fault}: {name} ({severity}) did not fire"
        for one in self.episodes:
            if one.key not in self.declared.own and one.alert not in self.declared.allowed:
                yield f"{self.fault}: {one.alert} ({one.severity}) fired and is no consequence of it"
            if one.resolved is None:
                yield f"{self.fault}: {one.alert} did not resolve after the repair"
            elif one.resolved < 0 and one.key in self.declared.own:
                yield f"{self.fault}: {one.alert} was gone {-one.resolved:.0f} s before the repair"

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Of the table: one for each of its own alerts."""
        others = [one for one in self.episodes if one.key not in self.declared.own]
        told = ", ".join(f"{one.alert} ({one.severity}, {one.fired:.0f} s)" for one in others) or "-"
        for key in self.declared.own:
            one = self.of(key)
            fired = NEVER if one is None else f"{one.fired:.0f}"
            resolved = NEVER if one is None or one.resolved is None else f"{one.resolved:.0f}"
            yield self.fault, "{} ({})".format(*key), fired, resolved, told

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        alerts = [
            {
                "alert": one.alert,
                "own": one.key in self.declared.own,
                "severity": one.severity,
                "seconds_to_fire": round(one.fired, 1),
                "seconds_to_resolve": None if one.resolved is None else round(one.resolved, 1),
            }
            for one in self.episodes
        ]
        missing = [name for name, severity in self.declared.own if self.of((name, severity)) is None]
        return {"fault": self.fault, "alerts": alerts, "missing": missing, "problems": list(self.problems())}


@dataclass
class Report:
    """A whole drill.

    Attributes:
        outcomes: Of the faults, in order.
        before: Alerts that fired although nothing was broken yet.
        seconds: How long it took.

    """

    outcomes: list[Outcome] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def problems(self) -> list[str]:
        """Everything that is wrong; empty if and only if the drill went well."""
        found = [f"{alert} fired although nothing was broken" for alert in self.before]
        if not self.outcomes:
            found.append("no fault was tried")
        return [*found, *(text for outcome in self.outcomes for text in outcome.problems())]

    def lines(self) -> list[str]:
        """For people: the table in Markdown, and what is wrong."""
        rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(row for one in self.outcomes for row in one.rows())]
        table = ["| " + " | ".join(row) + " |" for row in rows]
        problems = self.problems()
        verdict = "every alarm as it should be" if not problems else f"{len(problems)} wrong"
        return [*table, "", *problems, f"{len(self.outcomes)} faults in {self.seconds:.0f} s: {verdict}"]

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "ok": not self.problems(),
            "seconds": round(self.seconds, 1),
            "before": self.before,
            "faults": [one.document() for one in self.outcomes],
            "problems": self.problems(),
        }
