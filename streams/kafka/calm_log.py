"""librdkafka's log lines, without the flood.

Invariant: a kind of line passes at most once in `REPEAT_SECONDS`; while a broker is away librdkafka says so up to ten
times a second, for every connection that it would like to have.
"""

import logging
import time
from collections.abc import Callable

REPEAT_SECONDS = 10.0


class CalmLog:
    """What confluent-kafka takes for a logger: it calls `log(level, format, kind, client, text)`."""

    def __init__(self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._last: dict[str, float] = {}

    def log(self, level: int, text: str, *values: object) -> None:
        """Pass a line on unless one of its kind was passed on a moment ago."""
        kind, now = str(values[0]) if values else text, self._clock()
        if now - self._last.get(kind, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._last[kind] = now
            self._logger.log(level, text, *values)
