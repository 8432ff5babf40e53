"""Whether the event loop turns: how late it wakes whom it should wake, and where it stands when it does not turn.

A loop that stands still answers no probe, so nobody could read of it there: a thread looks at it from outside and
writes down where it stands, once for each time. Invariant: `check` and the thread see the same beat.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from muse_stream.monitoring import CheckResult

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.25
"""Between two beats: often enough to see what delays requests, and nothing beside what a request costs."""
WORST_SECONDS = 60.0
"""The worst delay is forgotten after one to two of these."""
CLOSE_SECONDS = 1.0


class LoopWatch:
    """Beats on the loop, looks from a thread of its own; `start` on the loop, `close` from anywhere.

    Args:
        silent_seconds_max: A loop that has not turned for longer fails the check.
        clock: Monotonic seconds.

    """

    def __init__(self, silent_seconds_max: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silent_max, self._clock = silent_seconds_max, clock
        self._beat_at: float | None = None
        self._worst = self._worst_before = 0.0
        self._forget_at = 0.0
        self._loop_thread = 0
        self._task: asyncio.Task[None] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="loop-watch", daemon=True)

    def start(self) -> None:
        """Begin to beat on the running loop, and to look."""
        self._loop_thread = threading.get_ident()
        self._beat_at = self._clock()
        self._forget_at = self._beat_at + WORST_SECONDS
        self._task = asyncio.get_running_loop().create_task(self._beat())
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._task is not None:
            self._task.cancel()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def check(self) -> CheckResult:
        """Since when it has not turned, and how late it woke at worst in the last minute."""
        if self._beat_at is None:
            return CheckResult(ok=True, detail="has not begun yet")
        silent = self._clock() - self._beat_at
        worst_ms = max(self._worst, self._worst_before) * 1e3
        detail = f"turned {silent:.1f} s ago; in the last minute it was up to {worst_ms:.0f} ms late"
        ok = silent <= self._silent_max
        advice = "" if ok else "something holds the event loop: its stack is in the worker's log; restart the worker"
        return CheckResult(ok=ok, detail=detail, advice=advice, age_seconds=silent)

    async def _beat(self) -> None:
        while True:
            began = self._clock()
            await asyncio.sleep(BEAT_SECONDS)
            self._note(self._clock(), began)

    def _note(self, now: float, began: float) -> None:
        if now >= self._forget_at:
            self._worst_before, self._worst, self._forget_at = self._worst, 0.0, now + WORST_SECONDS
        self._worst = max(self._worst, now - began - BEAT_SECONDS)
        self._beat_at = now

    def _look(self) -> None:
        told: float | None = None
        while not self._ended.wait(min(1.0, self._silent_max / 2)):
            beat_at = self._beat_at
            if beat_at is not None and beat_at != told and self._clock() - beat_at > self._silent_max:
                told = beat_at
                frame = sys._current_frames().get(self._loop_thread)
                stack = "".join(traceback.format_stack(frame)) if frame else "unknown\n"
                log.error("the event loop has not turned for %.1f s; it is at\n%s", self._clock() - beat_at, stack)
