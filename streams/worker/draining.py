"""The end of a worker in order: nothing more is taken, what has been taken is answered, then everything is closed.

Invariant: while requests are still being answered nothing that they need is closed, and the web server answers: a
supervisor sees "draining" on `/health/ready`, and clients whose next request comes a moment late still get an answer.
What is not answered in time stays unacknowledged in Kafka, for the partition's next owner.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import faust

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.02
"""Between two looks; a request that was on its way into the worker at the first is seen by the next."""


class Drain:
    """Ends the taking of requests, once; on the event loop.

    Args:
        refuse: Says no to `/health/ready` and takes no more records.
        close_doors: Stops listening; connections that are open stay so.
        open_requests: How many are not answered yet.
        seconds: So long is waited for them.

    """

    def __init__(
        self,
        refuse: Callable[[], None],
        close_doors: Callable[[], Awaitable[None]],
        open_requests: Callable[[], int],
        seconds: float,
    ) -> None:
        self._refuse, self._close_doors, self._open, self._seconds = refuse, close_doors, open_requests, seconds
        self._begun = False

    async def __call__(self) -> None:
        """Return once nothing is open, or the time is over."""
        if self._begun:
            return
        self._begun = True
        began = time.monotonic()
        self._refuse()
        await self._wait(began + self._seconds)
        await self._close_doors()
        left = await self._wait(began + self._seconds)
        took = time.monotonic() - began
        level = logging.WARNING if left else logging.INFO
        log.log(level, "drained in %.2f s, %d requests are left to the next owner (app.drain_seconds)", took, left)

    async def _wait(self, until: float) -> int:
        """How many are still open in the end."""
        await asyncio.sleep(min(LOOK_SECONDS, self._seconds))
        while self._open() and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
        return self._open()


class DrainingWorker(faust.Worker):
    """Faust's worker, which drains before it stops anything; set `drain` before it runs."""

    drain: Drain

    async def stop(self) -> None:
        """Drain, then stop the application and all that belongs to it."""
        await self.drain()
        await super().stop()


def stop_listening(app: faust.App) -> Callable[[], Awaitable[None]]:
    """Closes the web server's sockets that wait for connections; Faust itself only stops the server as a whole."""

    async def close() -> None:
        web: object = app.web
        runner = getattr(web, "_runner", None)
        for site in list(runner.sites) if runner else []:
            await site.stop()

    return close
