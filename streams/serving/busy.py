"""How busy something was lately.

Invariant: constant memory, and two readings of the clock per piece of work, however short the pieces are.
"""

import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise

WINDOW_SECONDS = 10.0
"""Long enough for a steady figure, short enough to scale by."""
STEP_SECONDS = 0.5
"""Between two notes of the time spent; in between it counts as spent evenly."""
NOTES = 24
"""They reach back further than the window."""


class Busy:
    """Share of the last seconds in which a piece of work was under way; one at a time, all calls in one thread.

    Args:
        clock: Seconds, rising.

    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._spent = 0.0
        self._since: float | None = None
        self._notes: deque[tuple[float, float]] = deque([(clock(), 0.0)], maxlen=NOTES)

    def begin(self) -> None:
        """A piece of work begins."""
        self._since = self._clock()
        self._note(self._since)

    def end(self) -> None:
        """It is over."""
        now = self._clock()
        if self._since is not None:
            self._spent += now - self._since
        self._since = None
        self._note(now)

    def share(self) -> float:
        """0 to 1, of the last `WINDOW_SECONDS`; work under way counts up to now."""
        now = self._clock()
        spent = self._spent + (0.0 if self._since is None else now - self._since)
        return min(1.0, (spent - self._spent_at(now - WINDOW_SECONDS, (now, spent))) / WINDOW_SECONDS)

    def _note(self, now: float) -> None:
        if now - self._notes[-1][0] >= STEP_SECONDS:
            self._notes.append((now, self._spent))

    def _spent_at(self, at: float, last: tuple[float, float]) -> float:
        """Time spent up to then, between two notes in proportion; before the first one nothing was done."""
        for (began, before), (ended, after) in pairwise([*self._notes, last]):
            if began <= at < ended:
                return before + (after - before) * (at - began) / (ended - began)
        return self._notes[0][1]
