"""The processes: workers, each with a state of its own, and the broker.

    running     its process is there, and nothing has been done to it
    leaving     it was asked to end (SIGTERM) and is still there
    stopped     it was stopped (SIGSTOP)
    down        it is not there, and will come back
    away        it was taken out of the installation; it may be added again, with the stores that it left

Invariant: a process that ends although nobody ended it is noticed at the next look, counted, and started again, as a
supervisor does.
"""

import logging
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.kafka.guarded import log_tail
from tests.streams.worker.installation import Installation, Worker

log = logging.getLogger(__name__)

LEAVE_SECONDS = 30.0
"""A worker that has not ended so long after SIGTERM is killed, as supervisors do."""

STACK_SECONDS = 1.0
"""A worker under `PYTHONFAULTHANDLER` writes its stacks to its log at SIGABRT, and ends."""


class State(StrEnum):
    RUNNING = "running"
    LEAVING = "leaving"
    STOPPED = "stopped"
    DOWN = "down"
    AWAY = "away"


@dataclass(eq=False)
class Member:
    """One worker.

    Attributes:
        number: Its number, also in the name of its directory.
        worker: Its process.
        state: See above.
        since: When its process was started, or continued; of the monotonic clock.
        next_state: What it is once it has left.

    """

    number: int
    worker: Worker
    state: State = State.AWAY
    since: float = 0.0
    next_state: State = State.DOWN

    def stores(self) -> list[Path]:
        """Its copies on disk."""
        return sorted(self.worker.state.glob("behaviours-*"))


@dataclass
class Fleet:
    """All of them; one thread changes them.

    Attributes:
        members: Workers in the order in which they were made.
        kafka: The broker.
        deaths: Why workers ended by themselves: the last lines of their logs.
        exits: Exit codes of those that were asked to end.

    """

    installation: Installation
    kafka: EmbeddedKafka
    members: list[Member] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    exits: Counter[str] = field(default_factory=Counter)
    late: int = 0

    def of(self, *states: State) -> list[Member]:
        """Members in one of these states."""
        return [member for member in self.members if member.state in states]

    def make(self) -> Member:
        """A further worker, not started."""
        self.members.append(Member(len(self.members), self.installation.worker()))
        return self.members[-1]

    def start(self, member: Member) -> None:
        member.worker.start()
        member.state, member.since = State.RUNNING, time.monotonic()

    def kill(self, member: Member) -> None:
        """End it by kill -9, whatever it is doing."""
        member.worker.kill()
        member.state = State.DOWN

    def stop(self, member: Member) -> None:
        member.worker.signal(signal.SIGSTOP)
        member.state = State.STOPPED

    def go_on(self, member: Member) -> None:
        member.worker.signal(signal.SIGCONT)
        member.state, member.since = State.RUNNING, time.monotonic()

    def terminate(self, member: Member, then: State) -> None:
        """Ask it to end; `look` sees that it has."""
        member.worker.signal(signal.SIGTERM)
        member.state, member.next_state, member.since = State.LEAVING, then, time.monotonic()

    def look(self) -> Iterator[Member]:
        """Notice who has ended; those who ended by themselves, started again."""
        for member in self.of(State.LEAVING):
            if member.worker.died():
                self.exits[f"exit {member.worker.stop()}"] += 1
                member.state = member.next_state
            elif time.monotonic() - member.since > LEAVE_SECONDS:
                self.late += 1
                log.warning("worker %d did not end within %.0f s of SIGTERM", member.number, LEAVE_SECONDS)
                member.worker.signal(signal.SIGABRT)
                time.sleep(STACK_SECONDS)
                member.worker.close()
                member.state = member.next_state
        for member in self.of(State.RUNNING, State.STOPPED):
            if member.worker.died():
                self.deaths.append(f"{member.worker.log}:\n{log_tail(member.worker.log, lines=25)}")
                log.warning("worker %d ended by itself", member.number)
                member.worker.close()
                self.start(member)
                yield member

    def dump(self) -> str:
        """What running workers say, their stacks included: ends them."""
        for member in self.of(State.RUNNING, State.LEAVING):
            member.worker.signal(signal.SIGABRT)
        time.sleep(STACK_SECONDS)
        told = [f"{member.worker.log}:\n{log_tail(member.worker.log, lines=120)}" for member in self.members]
        return "\n\n".join(told)
