"""Faust's assignment on one side, ingest on the other: which partitions this worker may answer for.

Invariant: between a revocation and the next assignment nothing is owned, while ingest goes on: a rebalance revokes
everything first, and most partitions come back a moment later. What was owned until then may be answered for meanwhile
where `serving.stale_max_seconds` allows it; as soon as there is an assignment, its owners answer and nobody else.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf

from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.worker.rebalances import Rebalances

log = logging.getLogger(__name__)


class OwnedCopies:
    """Follows the assignment and says which copies are current. `assigned` and `suspended` on the event loop."""

    def __init__(
        self,
        ingest: IngestService,
        items_ready: Callable[[], bool],
        on_change: Callable[[], None] = lambda: None,
        on_settled: Callable[[float], None] = lambda seconds: None,
        *,
        late_seconds_max: float = inf,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Own nothing yet.

        Args:
            ingest: Keeps the copies.
            items_ready: Whether the item tables have been read.
            on_change: Told of each assignment.
            on_settled: Told how long it took from the first change until all that was given is ready, in seconds.
            late_seconds_max: An owner's copy that is later than this is not ready any more.
            clock: Unix time in seconds, compared with brokers' times.

        """
        self._ingest = ingest
        self._items_ready = items_ready
        self._on_change = on_change
        self._late_seconds_max, self._clock = late_seconds_max, clock
        self.owned: frozenset[int] = frozenset()
        self._left: frozenset[int] = frozenset()
        self._taken: frozenset[int] = frozenset()
        self.assigned_at: float | None = None
        self._rebalances = Rebalances(self._settled, on_settled)

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Own exactly these; a copy kept from before is current only once ingest has read the log's end anew."""
        log.info("owns partitions %s", sorted(partitions))
        self._on_change()
        self.owned, self._left = partitions, frozenset()
        self._taken = frozenset()
        self._ingest.assign(partitions).add_done_callback(lambda _: self._take(partitions))
        self.assigned_at = self._clock()
        self._rebalances.given()

    def _take(self, partitions: frozenset[int]) -> None:
        if self.owned is partitions:
            self._taken = partitions

    async def suspended(self) -> None:
        """Own nothing until the next assignment."""
        self.owned, self._left = frozenset(), self._left | self.owned
        self._rebalances.taken()

    def close(self) -> None:
        """Answer for nothing any more."""
        self.owned = self._left = frozenset()
        self._rebalances.taken()

    def _settled(self) -> bool:
        """Whether everything that is owned is ready, but for what has stopped."""
        states = {partition: self._ingest.state(partition) for partition in self.owned}
        stopped = {partition for partition, state in states.items() if state is not None and state.error}
        return all(map(self.ready, self.owned - stopped))

    def serves(self, partition: int) -> bool:
        """Whether this worker is the owner."""
        return partition in self.owned

    def ready(self, partition: int) -> bool:
        """Whether the owner's copy has reached the log's end as read at its assignment, and items are loaded.

        It stays so while brokers are away or reading is slow, until it is later than the bound.
        """
        state = self._ingest.state(partition)
        caught_up = state is not None and state.ready and state.serving
        current = caught_up and partition in self.owned & self._taken and self._items_ready()
        return current and self.late_seconds(partition) <= self._late_seconds_max

    def note_request(self) -> None:
        """Let ingest leave room for requests for the next seconds."""
        self._ingest.note_request()

    def stands_in(self, partition: int) -> bool:
        """Whether it was owned until the rebalance under way: nobody owns it yet."""
        return partition in self._left

    def late_seconds(self, partition: int) -> float:
        """How long ago something was written that the copy lacks, at most; infinity without one, or without items."""
        state = self._ingest.state(partition)
        return inf if state is None or not self._items_ready() else state.late_seconds(int(self._clock() * 1000))

    async def passed(self, partition: int, offset: int, seconds: float) -> bool:
        """Whether the behaviours record at `offset` is in the copy, waiting at most so long."""
        future = self._ingest.wait_for(partition, offset, time.monotonic() + seconds)
        return await asyncio.wrap_future(future)
