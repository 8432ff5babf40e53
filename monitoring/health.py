"""Health: named checks, and the three questions that a supervisor asks about them.

Invariant: a question never raises and never blocks on Kafka or disk: checks look at what is already known. A check that
raises has failed.

live: would a restart help? ready: may requests come here? startup: has it been ready once? (Then it stays true.)
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from prometheus_client.registry import CollectorRegistry

from muse_stream.monitoring import catalogue as c
from muse_stream.monitoring.instruments import Sample, Scraped, ScrapeErrors


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found.

    Attributes:
        ok: Whether it passes.
        detail: What was found.
        advice: What to do; empty while it passes.
        age_seconds: How old the finding is.

    """

    ok: bool
    detail: str
    advice: str = ""
    age_seconds: float = 0.0


class Probe(StrEnum):
    """Which question a check belongs to."""

    LIVE = "live"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    probe: Probe
    look: Callable[[], CheckResult]


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """Answer to one question: HTTP status, JSON body."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the answer is yes."""
        return self.status == HTTPStatus.OK


class Health:
    """The checks of a worker. Filled at start-up, asked from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._checks: list[_Named] = []
        self._clock = clock
        self._progress: Callable[[], dict[str, Any]] = dict
        self._started_at: float | None = None
        self.draining = False

    def add(self, name: str, probe: Probe, look: Callable[[], CheckResult]) -> None:
        """Add a check; `look` returns at once.

        Args:
            name: Short and closed, for a metric label: `ingest`, `model`.
            probe: READY checks also count as what start-up waits for.
            look: What is found now.

        """
        self._checks.append(_Named(name, probe, look))

    def tell_progress(self, look: Callable[[], dict[str, Any]]) -> None:
        """Show what this finds in `restore` of the start-up's answer; it returns at once."""
        self._progress = look

    def drain(self) -> None:
        """Say no to `ready` from now on: the worker is about to stop and finishes what it has."""
        self.draining = True

    def live(self) -> HealthAnswer:
        """Answer `/health/live`."""
        return self._answer([check for check in self._checks if check.probe is Probe.LIVE])

    def ready(self) -> HealthAnswer:
        """Answer `/health/ready`; live checks count here too."""
        answer = self._answer(self._checks)
        if answer.ok and self._started_at is None:
            self._started_at = self._clock()
        if self.draining:
            return HealthAnswer(HTTPStatus.SERVICE_UNAVAILABLE, {**answer.body, "status": "draining"})
        return answer

    def startup(self) -> HealthAnswer:
        """Answer `/health/startup`: like ready until that was true once, then yes for good; with the progress."""
        answer = self.ready()
        started = self._started_at is not None
        status, word = (HTTPStatus.OK, "started") if started else (HTTPStatus.SERVICE_UNAVAILABLE, "starting")
        return HealthAnswer(status, {**answer.body, "status": word, "restore": self._progress()})

    def export(self, registry: CollectorRegistry, errors: ScrapeErrors) -> None:
        """Export each check and the whole as metrics."""
        Scraped(registry, "health", (c.HEALTH_CHECK, c.HEALTH_READY), self._samples, errors)

    def _samples(self) -> Iterator[Sample]:
        answer = self.ready()
        for check in answer.body["checks"]:
            yield c.HEALTH_CHECK, (check["name"],), float(check["ok"])
        yield c.HEALTH_READY, (), float(answer.ok)

    @staticmethod
    def _answer(checks: list[_Named]) -> HealthAnswer:
        found = [(check.name, _look(check)) for check in checks]
        ok = all(result.ok for _, result in found)
        body = {
            "status": "ok" if ok else "failing",
            "checks": [
                {
                    "name": name,
                    "ok": result.ok,
                    "detail": result.detail,
                    "advice": result.advice,
                    "age_seconds": round(result.age_seconds, 3),
                }
                for name, result in found
            ],
        }
        return HealthAnswer(HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE, body)


def _look(check: _Named) -> CheckResult:
    try:
        return check.look()
    except Exception as error:
        return CheckResult(
            ok=False, detail=f"the check itself failed: {type(error).__name__}: {error}", advice="see the worker's log"
        )
