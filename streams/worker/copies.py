"""Faust's assignment on one side, ingest on the other: which partitions this worker may answer for.

Invariant: between a revocation and the next assignment nothing is answered, while ingest goes on: a rebalance revokes
everything first, and most partitions come back a moment later.
"""

import asyncio
import logging
import time
from collections.abc import Callable

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
    ) -> None:
        """Own nothing yet.

        Args:
            ingest: Keeps the copies.
            items_ready: Whether the item tables have been read.
            on_change: Told of each assignment.
            on_settled: Told how long it took from the first change until all that was given is ready, in seconds.

        """
        self._ingest = ingest
        self._items_ready = items_ready
        self._on_change = on_change
        self.owned: frozenset[int] = frozenset()
        self._taken: frozenset[int] = frozenset()
        self.assigned_once = False
        self._rebalances = Rebalances(self._settled, on_settled)

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Own exactly these; a copy kept from before is current only once ingest has read the log's end anew."""
        log.info("owns partitions %s", sorted(partitions))
        self._on_change()
        self.owned = partitions
        self._taken = frozenset()
        self._ingest.assign(partitions).add_done_callback(lambda _: self._take(partitions))
        self.assigned_once = True
        self._rebalances.given()

    def _take(self, partitions: frozenset[int]) -> None:
        if self.owned is partitions:
            self._taken = partitions

    async def suspended(self) -> None:
        """Answer for nothing until the next assignment."""
        self.owned = frozenset()
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
        """Whether the owner's copy has reached the end of the log as read at its assignment, and items are loaded."""
        state = self._ingest.state(partition)
        caught_up = state is not None and state.ready and state.serving
        return caught_up and partition in self.owned & self._taken and self._items_ready()

    def note_request(self) -> None:
        """Let ingest leave room for requests for the next seconds."""
        self._ingest.note_request()

    async def passed(self, partition: int, offset: int, seconds: float) -> bool:
        """Whether the behaviours record at `offset` is in the copy, waiting at most so long."""
        future = self._ingest.wait_for(partition, offset, time.monotonic() + seconds)
        return await asyncio.wrap_future(future)
