"""The last warnings and errors, and the last dead letters, for people who look at a worker's page.

Invariant: bounded, folded, and nobody's data: a repeat counts into its first copy; of a log line of ours the text and
its numbers are kept, of another library's only the form without its values (they may be a record's key), of an
exception only its kind and place; of a dead letter only where the record lies.
"""

import logging
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from traceback import extract_tb

LINES = 30
LETTERS = 20
"""As many as a person reads; the log and the dead-letter topic have all."""
TEXT_MAX = 600
"""Long enough for any advice of ours."""
_OWN = "muse_stream."
_COUNTS = ("candidates", "history", "partition", "records")
"""Whole numbers that are no ids."""
_VALUE = re.compile(r"%(\(\w+\))?[-#0 +]*\d*(\.\d+)?[a-zA-Z]")


@dataclass(frozen=True, slots=True)
class Noted:
    """One line of code that warned, and how often.

    Attributes:
        level: `warning`, `error` or `critical`.
        logger: Whose.
        place: File and line of the code.
        text: What the last one said.
        count: How often since the start of the worker, or since it was last forgotten for newer ones.
        first_ms: The first time, milliseconds since the epoch.
        last_ms: The last time.

    """

    level: str
    logger: str
    place: str
    text: str
    count: int
    first_ms: int
    last_ms: int


class Journal(logging.Handler):
    """Keeps the last lines at WARNING and above; a logging handler. Thread-safe, as handlers are.

    Args:
        size: Lines of code remembered; the one that has been silent longest is forgotten.

    """

    def __init__(self, size: int = LINES) -> None:
        super().__init__(logging.WARNING)
        self._size = size
        self._noted: OrderedDict[tuple[str, int], Noted] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        """Note one line."""
        key, at_ms = (record.pathname, record.lineno), int(record.created * 1000)
        before = self._noted.pop(key, None)
        self._noted[key] = Noted(
            level=record.levelname.lower(),
            logger=record.name.removeprefix(_OWN),
            place=f"{PurePath(record.pathname).name}:{record.lineno}",
            text=_text(record),
            count=before.count + 1 if before else 1,
            first_ms=before.first_ms if before else at_ms,
            last_ms=at_ms,
        )
        if len(self._noted) > self._size:
            self._noted.popitem(last=False)

    def last(self) -> Sequence[Noted]:
        """What is remembered, the latest first."""
        self.acquire()
        try:
            return list(reversed(self._noted.values()))
        finally:
            self.release()


@dataclass(frozen=True, slots=True)
class Letter:
    """Where a record lies that became a dead letter.

    Attributes:
        reason: One of the closed set of reject reasons.
        topic: Topic name.
        partition: Partition number.
        offset: Offset.
        at_ms: When the broker had the dead letter, milliseconds since the epoch.

    """

    reason: str
    topic: str
    partition: int
    offset: int
    at_ms: int


class Letters:
    """Keeps where the last dead letters came from. Any thread.

    Attributes:
        total: Dead letters since the start.

    """

    def __init__(self, size: int = LETTERS, clock: Callable[[], float] = time.time) -> None:
        self.total = 0
        self._last: deque[Letter] = deque(maxlen=size)
        self._clock = clock
        self._lock = threading.Lock()

    def note(self, letters: Sequence[tuple[str, str, int, int]]) -> None:
        """Note dead letters that the broker has: reason, topic, partition, offset of each."""
        at_ms = int(self._clock() * 1000)
        with self._lock:
            self.total += len(letters)
            self._last.extend(Letter(*one, at_ms) for one in letters)

    def last(self) -> Sequence[Letter]:
        """The latest first."""
        with self._lock:
            return list(reversed(self._last))


def _text(record: logging.LogRecord) -> str:
    own = record.name.startswith(_OWN)
    text = (record.getMessage() + _numbers(record) if own else _VALUE.sub("…", str(record.msg))).partition("\n")[0]
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        frames = extract_tb(error.__traceback__)
        place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        text = f"{text} ({type(error).__name__}{place}; the log has the traceback)"
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _numbers(record: logging.LogRecord) -> str:
    """The line's fields that are numbers, which name nobody; ids are fields too."""
    fields = getattr(record, "fields", {})
    shown = [f"{name} {value:,}" for name, value in fields.items() if isinstance(value, float) or name in _COUNTS]
    return f": {', '.join(shown)}" if shown else ""
