"""Cases of an alert: series that are healthy, then as in a fault, then healthy again; what fires at the end of it.

A case is checked at three moments: nothing fires before the fault, exactly what is expected fires at its end, nothing
is left at the end of the recovery. Series are those of workers `w1` to `w3` of the job `muse-stream`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WORKERS = ("w1", "w2", "w3")
JOB = "muse-stream"


@dataclass(frozen=True)
class Level:
    """A gauge: its value while all is well and during the fault; None is absent."""

    healthy: float | None
    fault: float | None


@dataclass(frozen=True)
class Rate:
    """A counter: what it gains per second while all is well and during the fault; None is absent, then from 0 again."""

    healthy: float
    fault: float | None


@dataclass(frozen=True)
class Falling:
    """A gauge that falls during the fault, by so much an hour."""

    healthy: float
    fault: float


Course = Level | Rate | Falling


def still(value: float) -> Level:
    return Level(value, value)


def steady(per_second: float) -> Rate:
    return Rate(per_second, per_second)


def on(worker: str, name: str, **labels: str) -> str:
    """A worker's series."""
    return selector(name, job=JOB, instance=worker, **labels)


def selector(name: str, **labels: str) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inside}}}"


def everywhere(name: str, course: Course, **labels: str) -> dict[str, Course]:
    """The same on every worker."""
    return {on(worker, name, **labels): course for worker in WORKERS}


@dataclass(frozen=True)
class Case:
    """What happens, and what fires.

    Attributes:
        what: For the reader.
        series: By selector.
        fires: Labels of each alert that fires at the end of the fault; a subset of its labels is enough.
        minutes: Of health, fault and recovery.
        step_seconds: Between samples, and between evaluations.
        resolves: Whether it is over at the end of the recovery.

    """

    what: str
    series: Mapping[str, Course]
    fires: Sequence[Mapping[str, str]] = ()
    minutes: tuple[float, float, float] = (20, 20, 20)
    step_seconds: int = 30
    resolves: bool = True

    def samples(self) -> tuple[int, int, int]:
        """Samples of the three parts."""
        before, fault, after = (round(minutes * 60 / self.step_seconds) for minutes in self.minutes)
        return before, fault, after

    def document(self, name: str, rule_files: Sequence[str]) -> dict[str, Any]:
        """As promtool wants it."""
        before, fault, after = self.samples()
        moments = [(before, ()), (before + fault, self.fires)]
        if self.resolves:
            moments.append((before + fault + after, ()))
        queries = [query for sample, fires in moments for query in self._queries(name, sample, fires)]
        return {
            "rule_files": list(rule_files),
            "evaluation_interval": f"{self.step_seconds}s",
            "tests": [
                {
                    "name": self.what,
                    "interval": f"{self.step_seconds}s",
                    "input_series": self.input_series(),
                    "promql_expr_test": queries,
                }
            ],
        }

    def input_series(self) -> list[dict[str, str]]:
        return [{"series": key, "values": " ".join(self._values(course))} for key, course in self.series.items()]

    def _values(self, course: Course) -> Iterator[str]:
        """One sample per step, the first at 0."""
        before, fault, after = self.samples()
        total = fallen = 0.0
        for sample in range(before + fault + after + 1):
            value = course.fault if before < sample <= before + fault else course.healthy
            if isinstance(course, Rate):
                total = 0.0 if value is None else total + value * self.step_seconds
                value = None if value is None else total
            if isinstance(course, Falling):
                fallen += course.fault * self.step_seconds / 3600 if before < sample <= before + fault else 0.0
                value = course.healthy - fallen
            yield "stale" if value is None else str(round(value, 6))

    def _queries(self, name: str, sample: int, fires: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
        at = f"{sample * self.step_seconds}s"
        yield _counted({"alertname": name}, at, len(fires))
        for labels in fires:
            yield _counted({"alertname": name, **labels}, at, 1)


def _counted(labels: Mapping[str, str], at: str, count: int) -> dict[str, Any]:
    expr = f"count({selector('ALERTS', alertstate='firing', **labels)}) or vector(0)"
    return {"expr": expr, "eval_time": at, "exp_samples": [{"labels": "{}", "value": count}]}
