"""Log lines: JSON for machines or one readable line for people, never a user id in clear, never a flood.

Invariant: a line of code that warns over and over is heard a few times per interval, and then says how often it was
not. Values belong into `fields(...)`, not into the text, so that a text is the same every time.
"""

import hashlib
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

BURST = 5
INTERVAL_SECONDS = 10.0
"""Warnings of one line of code that pass per interval: enough to see a pattern, too few to fill a disk."""

_OWN = "muse_stream."


def fields(**values: object) -> dict[str, Any]:
    """Give a log line values: `log.info("restored", extra=fields(partition=3))`."""
    return {"fields": values}


def configure(form: Literal["human", "json"], level: str, stream: TextIO | None = None) -> logging.Handler:
    """Send all logging to one stream in one form; called again, it replaces what it set up before.

    Args:
        form: `human` or `json`.
        level: `debug`, `info`, `warning` or `error`.
        stream: stderr by default.

    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.set_name("muse_stream")
    handler.setFormatter(JsonLines() if form == "json" else HumanLines())
    handler.addFilter(RepeatLimit())
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == "muse_stream"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    return handler


class UserTags:
    """Names users in logs without telling who they are; the same user has the same tag on every worker.

    Args:
        salt: Anything that the installation shares and outsiders do not know; without it, tags could be looked up.

    """

    def __init__(self, salt: str) -> None:
        self._key = hashlib.blake2b(salt.encode(), digest_size=32).digest()

    def __call__(self, user: int | str) -> str:
        """Return the tag of a user id; an integer and its text have the same."""
        return hashlib.blake2b(str(user).encode(), digest_size=6, key=self._key).hexdigest()


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
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, or count it as held back; the next to pass carries that count as `held_back`."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.pathname, record.lineno)
        with self._lock:
            now = self._clock()
            since, count = self._seen.get(key, (now, 0))
            if now - since >= self._interval_seconds:
                record.held_back = max(0, count - self._burst)
                since, count = now, 0
            self._seen[key] = (since, count + 1)
            return count < self._burst


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix(_OWN),
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class HumanLines(logging.Formatter):
    """Local time, level, logger, message, then `name=value`; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        values = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{at} {record.levelname:<7} {record.name.removeprefix(_OWN)}: {record.getMessage()}{values}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class SlowRequests:
    """Writes one line per slow request, with where its time went.

    Args:
        threshold_seconds: Requests that took longer are written.
        tags: Turns the user id into a tag.

    """

    def __init__(self, threshold_seconds: float, tags: UserTags) -> None:
        self._threshold_seconds = threshold_seconds
        self._tags = tags
        self._log = logging.getLogger(__name__)

    def answered(
        self, request_id: str, user: int | str, seconds: float, stages: Mapping[str, float], **sizes: object
    ) -> None:
        """Take note of one answer; `sizes` says what was asked, such as candidates and history length."""
        if seconds > self._threshold_seconds:
            stages_ms = {f"{stage}_ms": round(part * 1000, 2) for stage, part in stages.items()}
            values = fields(
                request=request_id, user=self._tags(user), ms=round(seconds * 1000, 2), **sizes, **stages_ms
            )
            self._log.warning("slow request", extra=values)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    values: dict[str, object] = dict(getattr(record, "fields", {}))
    held_back = getattr(record, "held_back", 0)
    return {**values, "held_back": held_back} if held_back else values
