"""Repeated log lines: of each line of code a few per interval are written at once, and of the rest the last one.

Invariant: the lines written, and the `held_back` that they carry, add up to the lines that code wrote; what is kept of
a line is its text, never what it was made of, so that a flood holds on to no exception and no array.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BURST = 5
INTERVAL_SECONDS = 10.0
"""Warnings of one line of code that pass per interval: enough to see a pattern, too few to fill a disk."""

LEVELS = ("warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class LogReading:
    """Lines since the start.

    Attributes:
        lines: By level, of `LEVELS`; held back ones are among them.
        held_back: Of all of them those that were not written.

    """

    lines: Mapping[str, int]
    held_back: int


@dataclass(slots=True)
class _Burst:
    """What one line of code has said since the interval began."""

    since: float
    count: int = 0
    last: logging.LogRecord | None = None


class RepeatLimit(logging.Filter):
    """Lets a few warnings per interval through from each line of code; lines below WARNING always pass.

    Args:
        burst: How many.
        interval_seconds: Per what time.
        clock: Monotonic seconds.

    """

    def __init__(
        self,
        burst: int = BURST,
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._burst = burst
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._bursts: dict[tuple[str, int], _Burst] = {}  # in the order in which they began
        self._ended: list[logging.LogRecord] = []
        self._lines = dict.fromkeys(LEVELS, 0)
        self._held_back = 0
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, or keep its text: the last one of a burst comes with `ended`."""
        if record.levelno < logging.WARNING:
            return True
        with self._lock:
            self._lines[_level(record.levelno)] += 1
            now = self._clock()
            self._end_before(now - self._interval_seconds)
            burst = self._bursts.setdefault((record.pathname, record.lineno), _Burst(now))
            burst.count += 1
            if burst.count <= self._burst:
                return True
            self._held_back += burst.last is not None
            burst.last = _text_of(record)
            return False

    def ended(self) -> list[logging.LogRecord]:
        """The last lines of the bursts that are over, each once; the caller writes them. Any thread."""
        with self._lock:
            self._end_before(self._clock() - self._interval_seconds)
            return self._take_ended()

    def rest(self) -> list[logging.LogRecord]:
        """The same of all bursts, over or not: the log comes to its end."""
        with self._lock:
            self._end_before(float("inf"))
            return self._take_ended()

    def reading(self) -> LogReading:
        """Counts as of now; a line that waits for the end of its burst is not held back yet."""
        with self._lock:
            return LogReading(dict(self._lines), self._held_back)

    def _end_before(self, latest: float) -> None:
        while self._bursts:
            key, burst = next(iter(self._bursts.items()))
            if burst.since > latest:
                return
            del self._bursts[key]
            if burst.last is not None:
                burst.last.held_back = burst.count - self._burst - 1
                self._ended.append(burst.last)

    def _take_ended(self) -> list[logging.LogRecord]:
        ended, self._ended = self._ended, []
        return ended


def _level(number: int) -> str:
    return LEVELS[(number >= logging.ERROR) + (number >= logging.CRITICAL)]


def _text_of(record: logging.LogRecord) -> logging.LogRecord:
    """The same line without what it was made of; a traceback shrinks to the exception's own line."""
    try:
        text = record.getMessage()
    except Exception:  # a line that cannot be put into words is not written either, see `logging.Handler.handleError`
        text = str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        text = f"{text}: {type(error).__name__}: {error}"
    kept = logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, text, None, None)
    kept.created = record.created
    kept.fields = getattr(record, "fields", {})
    return kept
