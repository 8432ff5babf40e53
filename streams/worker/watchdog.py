"""Looks from outside whether this worker moves: Faust's consumer, its assignment, and the reading threads.

Faust is known to hang after rebalances: partitions without a fetcher, an agent that has stopped, a consumer that never
rejoins its group. Each looks the same from outside: something waits, nothing moves. Nothing of Faust's own is asked.

Invariant: only what waits while the brokers answer counts. Brokers that are away, or a topic that is not there, are
other trouble, said elsewhere, and no reason to end a worker; when they are back, time begins anew.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Protocol

from muse_stream.monitoring import CheckResult
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.status import LogState, PartitionState, Phase
from muse_stream.streams.worker.stalls import Place, Stalls, Stuck, Waiting

log = logging.getLogger(__name__)

EXIT_STUCK = 75
"""EX_TEMPFAIL of sysexits.h, "try again": a supervisor can tell it from a wrong setting (1) and from a signal."""
LOOKS = 12
"""Looks within the time after which something counts as stuck."""
LOOK_SECONDS_MAX = 10.0
GAP_LOOKS = 4
"""Looks that may be missed before time begins anew."""
END_STALE_MS = 15_000
"""Ends of logs that were learnt longer ago than this say nothing (they are asked for once a second)."""
CLOSE_SECONDS = 1.0
"""The thread is a daemon; a question without an answer does not hold up a stop."""


class Backlog(Protocol):
    """Requests that wait in the log; contract: `RequestBacklog`."""

    def waiting(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Offsets that wait, by partition."""

    def has_record(self, partition: int) -> bool:
        """Whether one of them is a record."""

    def close(self) -> None:
        """Leave."""


class Watchdog(LoopThread):
    """Follows the assignment on the event loop, looks in a thread of its own, is read from any."""

    def __init__(
        self,
        backlog: Backlog,
        progress: Callable[[int], Hashable],
        states: Callable[[], Iterable[PartitionState]],
        *,
        seconds: float,
        on_stuck: str,
        clock: Clock | None = None,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        """Prepare; `start` begins to look.

        Args:
            backlog: Asks the brokers what waits.
            progress: By partition, something that changes with every request that is taken or answered.
            states: What ingest says of the partitions, items included.
            seconds: Without progress for so long is stuck.
            on_stuck: `report`, `not_live` or `exit`, see the settings.
            clock: Time.
            end: Ends the process; at once, since what hangs might never end in order. Stores survive that.

        """
        self._clock = clock or Clock()
        super().__init__("watchdog", self._clock.seconds)
        self._backlog, self._progress, self._states = backlog, progress, states
        self._on_stuck, self._end_process = on_stuck, end
        self._look_seconds = min(seconds / LOOKS, LOOK_SECONDS_MAX)
        self._stalls = Stalls(seconds, GAP_LOOKS * self._look_seconds)
        self._owned: frozenset[int] | None = None
        self._assignments = 0
        self._stuck: list[Stuck] = []
        self._trouble: str | None = None
        self._looked_at: float | None = None

    async def assigned(self, partitions: frozenset[int]) -> None:
        """These are owned."""
        self._assignments += 1
        self._owned = partitions

    async def suspended(self) -> None:
        """A rebalance is under way."""
        self._owned = None

    def stuck(self) -> dict[str, int]:
        """How many partitions are stuck, by kind."""
        return dict(Counter(one.place.kind for one in self._stuck))

    def ready_check(self) -> CheckResult:
        """Fails while something is stuck."""
        stuck = self._stuck
        age = 0.0 if self._looked_at is None else self._clock.seconds() - self._looked_at
        if not stuck:
            detail = f"not looking: {self._trouble}" if self._trouble else "everything that waits moves"
            return CheckResult(ok=True, detail=detail, age_seconds=age)
        detail = "; ".join(f"{one.text}, and nothing has moved for {one.seconds:.0f} s" for one in stuck)
        advice = "restart the worker; its log says what came before"
        return CheckResult(ok=False, detail=detail, advice=advice, age_seconds=age)

    def live_check(self) -> CheckResult:
        """The same where the settings say that a restart is wanted."""
        if self._on_stuck == "report":
            return CheckResult(ok=True, detail="see ready: app.on_stuck is report")
        return self.ready_check()

    def close(self) -> None:
        """Look no more."""
        self.abandon(CLOSE_SECONDS)

    def _turn(self) -> float:
        owned = self._owned
        try:
            requests = self._backlog.waiting(owned or ())
        except Exception as error:
            self._away(error)
            return self._look_seconds
        self._trouble = None
        found = {**self._assignment(owned), **self._requests(requests), **self._reading()}
        stuck = self._stalls.look(found, self._clock.seconds())
        try:
            stuck = [one for one in stuck if self._confirmed(one)]
        except Exception as error:
            self._away(error)
            return self._look_seconds
        self._looked_at = self._clock.seconds()
        self._tell(stuck)
        return self._look_seconds

    def _away(self, error: Exception) -> None:
        """The brokers do not say what waits; nothing is blamed until they do."""
        self._trouble = f"{type(error).__name__}: {error}"
        self._stalls.forget()
        self._stuck = []

    def _assignment(self, owned: frozenset[int] | None) -> dict[Place, Waiting]:
        if owned is not None:
            return {}
        return {Place("assignment", "requests", -1): Waiting(1, self._assignments, "this worker has no assignment")}

    def _requests(self, waiting: Mapping[int, int]) -> dict[Place, Waiting]:
        return {
            Place("requests", "requests", partition): Waiting(
                count, (self._assignments, self._progress(partition)), f"requests/{partition}: {count:,} records wait"
            )
            for partition, count in waiting.items()
        }

    def _reading(self) -> dict[Place, Waiting]:
        found = {}
        for state in self._states():
            for topic, one in state.logs.items():
                if self._expected_to_move(state, one):
                    text = f"{topic}/{state.partition}: {one.lag_messages:,} records wait"
                    found[Place("ingest", topic, state.partition)] = Waiting(one.lag_messages, one.position, text)
        return found

    def _expected_to_move(self, state: PartitionState, one: LogState) -> bool:
        """Not while it waits for a reason that is known and said, and not while its end is unknown.

        The latter also spares a thread that is opening, converting or restoring a store, which may take long.
        """
        fresh = self._clock.wall_ms() - one.end_seen_ms <= END_STALE_MS
        return state.phase is not Phase.FAILED and one.waiting is None and fresh

    def _confirmed(self, one: Stuck) -> bool:
        if one.place.kind != "requests" or self._backlog.has_record(one.place.partition):
            return True
        self._stalls.moved(one.place)
        return False

    def _tell(self, stuck: list[Stuck]) -> None:
        known = {one.place for one in self._stuck}
        for one in stuck:
            if one.place not in known:
                log.error("stuck: %s, and nothing has moved for %.0f s", one.text, one.seconds)
        self._stuck = stuck
        if stuck and self._on_stuck == "exit":
            log.critical("ends itself with status %d: app.on_stuck is exit", EXIT_STUCK)
            logging.shutdown()
            self._end_process(EXIT_STUCK)

    def _wake(self) -> None:
        """The command itself ends the rest."""

    def _release(self) -> None:
        self._backlog.close()
