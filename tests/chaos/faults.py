"""The dice: what is broken next, and what comes back when.

Invariant: whatever is taken down has a time at which it comes back, or was taken out of the installation; one worker at
least is not taken out.
"""

import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from tests.chaos.fleet import Fleet, Member, State
from tests.chaos.plan import SESSION_SECONDS

WEIGHTS = {
    "kill -9": 50,
    "kill -9 while stopped": 3,
    "SIGSTOP": 14,
    "SIGTERM": 10,
    "restart": 9,
    "worker added": 7,
    "worker removed": 5,
    "Kafka kill -9": 10,
}
"""How often each is drawn; one that cannot be done is drawn anew."""
DOWN_SECONDS = (0.0, 8.0)
KAFKA_DOWN_SECONDS = (0.1, 6.0)
STOPPED_SECONDS = (SESSION_SECONDS + 2.0, SESSION_SECONDS + 10.0)
"""Longer than Kafka waits for a worker: another one takes over."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was ended by kill -9.

    Attributes:
        at_ms: When, wall clock.
        fault: Which fault it was, by number.
        partitions: What it owned.

    """

    at_ms: float
    fault: int
    partitions: tuple[int, ...]


@dataclass(order=True)
class _Due:
    at: float
    number: int
    act: Callable[[], None] = field(compare=False)


@dataclass
class Faults:
    """Draws faults, does them, and brings back what is due; one thread.

    Attributes:
        counts: Faults by kind.
        kills: Workers ended by kill -9.
        times_ms: When each fault was done, wall clock.

    """

    fleet: Fleet
    dice: random.Random
    workers: int
    owned: Callable[[Member], tuple[int, ...]]
    killed: Callable[[Member], None]
    counts: Counter[str] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._due: list[_Due] = []
        self._numbers = itertools.count()
        self._kinds: dict[str, Callable[[], bool]] = {
            "kill -9": lambda: self._kill(State.RUNNING),
            "kill -9 while stopped": lambda: self._kill(State.STOPPED),
            "SIGSTOP": self._stop,
            "SIGTERM": self._terminate,
            "restart": self._restart,
            "worker added": self._add,
            "worker removed": self._remove,
            "Kafka kill -9": self._kill_kafka,
        }

    @property
    def killed_count(self) -> int:
        """Processes ended by kill -9."""
        return sum(count for kind, count in self.counts.items() if "kill -9" in kind)

    def strike(self, kind: str | None = None) -> str:
        """Do one fault, of this kind or a drawn one that can be done; what it was, or "" where it cannot be done."""
        kinds = list(WEIGHTS) if kind is None else [kind]
        while kinds:
            drawn = self.dice.choices(kinds, [WEIGHTS[one] for one in kinds])[0]
            at_ms = time.time() * 1e3
            if self._kinds[drawn]():
                self.counts[drawn] += 1
                self.times_ms.append(at_ms)
                return drawn
            kinds.remove(drawn)
        return ""

    def come_back(self, *, now: bool = False) -> None:
        """Bring back what is due; with `now`, everything."""
        until = float("inf") if now else time.monotonic()
        ripe = [one for one in sorted(self._due) if one.at <= until]
        self._due = [one for one in self._due if one.at > until]
        heapq.heapify(self._due)
        for one in ripe:
            one.act()

    def everybody_back(self) -> None:
        """Bring everything back, and as many workers as there were at the beginning."""
        self.come_back(now=True)
        for member in self.fleet.of(State.AWAY):
            if self._wanted() < self.workers:
                self.fleet.start(member)
        for member in self.fleet.of(State.LEAVING):
            if member.next_state is State.AWAY and self._wanted() < self.workers:
                member.next_state = State.DOWN
                self._later(0.0, partial(self._start, member))

    def _wanted(self) -> int:
        here = self.fleet.of(State.RUNNING, State.STOPPED, State.DOWN)
        return len(here) + sum(member.next_state is State.DOWN for member in self.fleet.of(State.LEAVING))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, _Due(time.monotonic() + seconds, next(self._numbers), act))

    def _draw(self, *states: State) -> Member | None:
        """A member in one of these states, one that owns something rather than another."""
        there = self.fleet.of(*states)
        owners = [member for member in there if self.owned(member)]
        return self.dice.choice(owners or there) if there else None

    def _start(self, member: Member) -> None:
        """Start it once it is gone."""
        if member.state is State.LEAVING:
            self._later(0.2, lambda: self._start(member))
        elif member.state in (State.DOWN, State.AWAY):
            self.fleet.start(member)

    def _kill(self, state: State) -> bool:
        if (member := self._draw(state)) is None:
            return False
        partitions = self.owned(member)
        self.fleet.kill(member)
        self.kills.append(Kill(time.time() * 1e3, len(self.times_ms), partitions))
        self.killed(member)
        self._later(self.dice.uniform(*DOWN_SECONDS), lambda: self._start(member))
        return True

    def _stop(self) -> bool:
        if (member := self._draw(State.RUNNING)) is None or len(self.fleet.of(State.RUNNING)) < 2:
            return False
        self.fleet.stop(member)
        self._later(self.dice.uniform(*STOPPED_SECONDS), lambda: self._go_on(member))
        return True

    def _go_on(self, member: Member) -> None:
        if member.state is State.STOPPED:
            self.fleet.go_on(member)

    def _terminate(self) -> bool:
        if (member := self._draw(State.RUNNING)) is None:
            return False
        self.fleet.terminate(member, State.DOWN)
        self._later(self.dice.uniform(*DOWN_SECONDS), lambda: self._start(member))
        return True

    def _restart(self) -> bool:
        if (member := self._draw(State.RUNNING)) is None:
            return False
        self.fleet.terminate(member, State.DOWN)
        self._later(0.0, lambda: self._start(member))
        return True

    def _add(self) -> bool:
        if self._wanted() > self.workers:
            return False
        away = self.fleet.of(State.AWAY)
        self.fleet.start(self.dice.choice(away) if away and self.dice.random() < 0.7 else self.fleet.make())
        return True

    def _remove(self) -> bool:
        if self._wanted() < self.workers or (member := self._draw(State.RUNNING)) is None:
            return False
        self.fleet.terminate(member, State.AWAY)
        return True

    def _kill_kafka(self) -> bool:
        if not self.fleet.kafka.running:
            return False
        self.fleet.kafka.kill()
        self._later(self.dice.uniform(*KAFKA_DOWN_SECONDS), self._start_kafka)
        return True

    def _start_kafka(self) -> None:
        self.fleet.kafka.start()


@contextmanager
def everything_continues(fleet: Fleet) -> Iterator[None]:
    """Leave nothing stopped behind, so that all can be ended in order."""
    try:
        yield
    finally:
        for member in fleet.of(State.STOPPED):
            fleet.go_on(member)
