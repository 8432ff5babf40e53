"""One thread in virtual time: requests arrive, wait in a line, run in passes that take exactly what they should."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from muse_stream.streams.serving.line import Claim, Line

PASS_MS = 20.0


@dataclass(eq=False, slots=True)
class Job:
    """A request: when it arrives, what it takes, when its pass begins and ends, in milliseconds; None: expired."""

    at: float
    ms: float
    deadline: float = float("inf")
    began: float | None = None
    ended: float | None = None
    promised_ms: float = 0.0

    @property
    def waited_ms(self) -> float:
        """From arrival to the begin of its pass."""
        assert self.began is not None
        return self.began - self.at

    @property
    def took_ms(self) -> float:
        """From arrival to its answer."""
        assert self.ended is not None
        return self.ended - self.at

    @property
    def giant(self) -> bool:
        """Whether it runs alone."""
        return self.ms > PASS_MS


class Discipline(Protocol):
    """Who is next."""

    def __len__(self) -> int: ...

    def put(self, claim: Claim, item: Job) -> None: ...

    def take(self, now: float) -> tuple[list[tuple[Claim, Job]], list[Job]]: ...


class Fifo:
    """What waits shares the next pass in the order of arrival, up to a weight alone."""

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._waiting: deque[tuple[Claim, Job]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, claim: Claim, item: Job) -> None:
        self._waiting.append((claim, item))

    def take(self, now: float) -> tuple[list[tuple[Claim, Job]], list[Job]]:
        taken = [self._waiting.popleft()]
        weight = taken[0][0].weight
        while self._waiting and weight + self._waiting[0][0].weight <= self._weight_max:
            weight += self._waiting[0][0].weight
            taken.append(self._waiting.popleft())
        return taken, []


@dataclass
class Thread:
    """Runs jobs by a discipline.

    Attributes:
        line: The discipline.
        overhead_ms: What a pass takes by itself.
        passes: Jobs of every pass, in order.

    """

    line: Discipline
    overhead_ms: float = 0.0
    passes: list[list[Job]] = field(default_factory=list)

    def run(self, jobs: Iterable[Job], on_arrival: Callable[[Job, float], None] = lambda job, free_at: None) -> None:
        """Run all; `on_arrival` sees each job before it waits, and when the thread is free."""
        arriving = deque(sorted(jobs, key=lambda job: job.at))
        now = 0.0
        while arriving or len(self.line):
            if not len(self.line):
                now = max(now, arriving[0].at)
            self._arrive(arriving, now, now, on_arrival)
            taken = [job for _, job in self.line.take(now / 1e3)[0]]
            if not taken:
                continue
            self.passes.append(taken)
            ends = now + self.overhead_ms + sum(job.ms for job in taken)
            for job in taken:
                job.began, job.ended = now, ends
            self._arrive(arriving, ends, ends, on_arrival)
            now = ends

    def _arrive(
        self, arriving: deque[Job], until: float, free_at: float, on_arrival: Callable[[Job, float], None]
    ) -> None:
        while arriving and arriving[0].at <= until:
            job = arriving.popleft()
            on_arrival(job, free_at)
            self.line.put(Claim(job.ms, max(1, round(10 * job.ms)), job.deadline / 1e3), job)


def poisson(rng: np.random.Generator, per_second: float, seconds: float, ms: Callable[[], float]) -> list[Job]:
    """Jobs that arrive at a rate."""
    gaps = rng.exponential(1e3 / per_second, int(2 * per_second * seconds) + 10)
    return [Job(at, ms()) for at in itertools.takewhile(lambda at: at < seconds * 1e3, np.cumsum(gaps).tolist())]


def a_line() -> Line[Job]:
    """One of ours."""
    return Line(PASS_MS, 10**9)
