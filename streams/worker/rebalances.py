"""How long rebalances take, from the first change until every partition is ready.

Invariant: one measurement at a time. A change that comes before the partitions are ready prolongs the one under way,
since nobody was served in between; a partition that has stopped waits for an operator and is not waited for here.
"""

import asyncio
import time
from collections.abc import Callable

LOOK_SECONDS = 0.05
"""Between two looks; a rebalance of a group takes seconds."""


class Rebalances:
    """Told of each change of the assignment; all on one event loop.

    Args:
        settled: Whether every partition that was given is ready or has stopped.
        took: Told the seconds of each rebalance that is over.
        clock: Seconds, rising.

    """

    def __init__(
        self,
        settled: Callable[[], bool],
        took: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settled, self._took, self._clock = settled, took, clock
        self._began: float | None = None
        self._look: asyncio.Task[None] | None = None

    def taken(self) -> None:
        """Partitions were taken away, or the worker stops."""
        if self._began is None:
            self._began = self._clock()
        self._cancel()

    def given(self) -> None:
        """Partitions were given."""
        self.taken()
        self._look = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while not self._settled():
            await asyncio.sleep(LOOK_SECONDS)
        if self._began is not None:
            self._took(self._clock() - self._began)
        self._began = None

    def _cancel(self) -> None:
        if self._look is not None:
            self._look.cancel()
        self._look = None
