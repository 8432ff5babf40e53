"""Ingest lets passes go first: while requests are computed it waits, for a bounded time.

A pass and a turn of ingest that run at once take each other's processor, and the interpreter from each other at every
kernel's end; one after the other both are done sooner. Behaviours then wait for the length of a pass.

Invariant: ingest is never held for longer than its allowance per turn, so that it keeps up whatever the load is.
"""

import threading
from types import TracebackType

from muse_stream.streams.ingest.clock import Clock

COURTESY_SECONDS = 0.01
"""Most that a turn waits: a usual pass is shorter, and freshness with requests has five times as long."""


class Courtesy:
    """`with` it passes are computed, one at a time; `give_way` is ingest's, in its own thread."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()
        self._left = 0.0

    def __enter__(self) -> None:
        self._free.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free.set()

    def allow(self, seconds: float) -> None:
        """Begin a turn that may wait so long in all, `COURTESY_SECONDS` at most."""
        self._left = min(seconds, COURTESY_SECONDS)

    def give_way(self, clock: Clock) -> None:
        """Wait until no pass runs, or for what is left of the turn's allowance, by the clock of ingest."""
        if self._free.is_set() or self._left <= 0:
            return
        began = clock.seconds()
        clock.wait(self._free, self._left)
        self._left -= clock.seconds() - began
