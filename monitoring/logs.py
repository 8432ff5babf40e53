"""Log lines: JSON for machines or one readable line for people, never a user id in clear, never a flood.

Invariant: a line of code that warns over and over is heard a few times per interval (see `repeats`). Values belong into
`fields(...)`, not into the text, so that a text is the same every time; what clients chose, such as a request's id,
cannot break out of its line.
"""

import hashlib
import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from muse_stream.monitoring.repeats import LogReading, RepeatLimit

_OWN = "muse_stream."
_PLAIN = re.compile(r"[^\s\"'=\\]*")
"""Values that a line for people shows as they are; others are quoted."""


def fields(**values: object) -> dict[str, Any]:
    """Give a log line values: `log.info("restored", extra=fields(partition=3))`; None is left out."""
    return {"fields": {name: value for name, value in values.items() if value is not None}}


def configure(form: Literal["human", "json"], level: str, stream: TextIO | None = None) -> "LineHandler":
    """Send all logging to one stream in one form; called again, it replaces what it set up before.

    Args:
        form: `human` or `json`.
        level: `debug`, `info`, `warning` or `error`.
        stream: stderr by default.

    """
    handler = LineHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else HumanLines())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, LineHandler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    return handler


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream, repeated ones a few times, and counts them.

    Whoever runs for long calls `settle` now and then: else a burst's last line waits for the next line of any kind.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._limit = RepeatLimit()
        self.addFilter(self._limit)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, after those that were kept for the end of their bursts."""
        self.settle()
        super().emit(record)

    def settle(self) -> None:
        """Write the last lines of the bursts that are over. Any thread."""
        self._write(self._limit.ended())

    def close(self) -> None:
        """Write the last lines of all bursts, and end; Python calls it at its exit."""
        self._write(self._limit.rest())
        super().close()

    def reading(self) -> LogReading:
        """How many lines there were."""
        return self._limit.reading()

    def _write(self, records: list[logging.LogRecord]) -> None:
        self.acquire()
        try:
            for record in records:
                super().emit(record)
        finally:
            self.release()


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
        values = "".join(f" {name}={_shown(value)}" for name, value in _fields(record).items())
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
        self, request_id: str, user: int | str, seconds: float, stages: Mapping[str, float], **about: object
    ) -> None:
        """Take note of one answer; `about` says what else names it and what was asked: trace, candidates, history."""
        if seconds > self._threshold_seconds:
            stages_ms = {f"{stage}_ms": round(part * 1000, 2) for stage, part in stages.items()}
            values = fields(
                request=request_id, user=self._tags(user), ms=round(seconds * 1000, 2), **about, **stages_ms
            )
            self._log.warning("slow request", extra=values)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    values: dict[str, object] = dict(getattr(record, "fields", {}))
    held_back = getattr(record, "held_back", 0)
    return {**values, "held_back": held_back} if held_back else values


def _shown(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
