"""Requests as an open loop: Poisson arrivals, sent at their time whether or not earlier ones were answered.

Invariant: latency counts from the time at which a request was meant to be sent, so that a sender or worker that falls
behind shows, and a request without a result counts as the longest wait instead of being left out.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

from muse_stream.streams.demo.requester import Asked

LEAD_IN_SECONDS = 1.0  # sent before the counted ones: caches of clients and worker settle
PREFETCH_SECONDS = 0.05  # a matching stage runs about so long between "user is here" and "rank these"
LIMIT_MS = 10_000.0  # the default deadline; no answer later than this is worth anything


class State(StrEnum):
    """Where a user's history is when the request comes."""

    RESIDENT = "resident"
    COLD = "cold"
    PREFETCH = "prefetch"  # cold, with a prefetch request ahead


@dataclass(frozen=True, slots=True)
class Case:
    """One load: behaviours per history, users' state, requests per second."""

    length: int
    state: State
    rate: float


@dataclass(frozen=True, slots=True)
class Shot:
    """One request to send at `at_seconds`; negative: within the lead-in."""

    at_seconds: float
    user: int
    prefetch: bool = False

    @property
    def counted(self) -> bool:
        """Whether its latency counts."""
        return self.at_seconds >= 0 and not self.prefetch


@dataclass(frozen=True, slots=True)
class Fired:
    """A request that was sent and when it was meant to be, on the clock of `time.perf_counter`."""

    shot: Shot
    meant_seconds: float
    asked: Asked

    @property
    def latency_ms(self) -> float:
        """From the intended time to having read the result; `LIMIT_MS` without one."""
        if not self.asked.scored:
            return LIMIT_MS
        return min((self.asked.read_seconds - self.meant_seconds) * 1e3, LIMIT_MS)


class Sender(Protocol):
    """The part of a requester that sends."""

    def send(self, user: int, candidates: Sequence[int], **options: Any) -> Asked:  # noqa: ANN401 - request fields
        """Send and return at once."""
        ...


def users_of(case: Case, rng: np.random.Generator, ring: Iterator[int], resident: Sequence[int]) -> Iterator[int]:
    """Whom to ask for: somebody resident, or the next of a ring that is longer than what the pool can hold."""
    if case.state is State.RESIDENT:
        return (int(rng.choice(resident)) for _ in itertools.count())
    return ring


def schedule(case: Case, rng: np.random.Generator, users: Iterator[int], seconds: float) -> list[Shot]:
    """All requests of a case, by time; gaps between them follow the exponential distribution."""
    shots = []
    at = -LEAD_IN_SECONDS + rng.exponential(1 / case.rate)
    while at < seconds:
        user = next(users)
        shots.append(Shot(at, user))
        if case.state is State.PREFETCH:
            shots.append(Shot(at - PREFETCH_SECONDS, user, prefetch=True))
        at += rng.exponential(1 / case.rate)
    return sorted(shots, key=lambda shot: shot.at_seconds)


def fire(sender: Sender, shots: Iterable[Shot], candidates: Sequence[Sequence[int]]) -> list[Fired]:
    """Send every shot at its time; candidate lists are taken in turn."""
    fired = []
    lists = itertools.cycle(candidates)
    zero = time.perf_counter() + LEAD_IN_SECONDS + PREFETCH_SECONDS
    for shot in shots:
        meant = zero + shot.at_seconds
        time.sleep(max(0.0, meant - time.perf_counter()))
        asked = sender.send(shot.user, [], prefetch=True) if shot.prefetch else sender.send(shot.user, next(lists))
        fired.append(Fired(shot, meant, asked))
    return fired
