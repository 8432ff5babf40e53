"""Keeps an eye on the logs while they are read: how far they reach, and whether they are still the same.

Invariant: nothing that was learnt late does harm: a position is compared with bounds that were asked for after it was
reached, and an answer about a cursor that is not read any more is not used.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from muse_stream.streams.errors import LogMismatchError
from muse_stream.streams.ingest.checking import check_end, check_origin, require_partition
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.ports import Partition
from muse_stream.streams.ingest.questions import Asks, LogAnswers

log = logging.getLogger(__name__)

ENDS_SECONDS = 1.0
"""Log ends are refreshed as often as lag can usefully be scraped."""
CHECK_SECONDS = 10.0
"""Between two looks whether the logs are the same: for so long, a topic that was created again could add to a store
before it is noticed. A look costs some small questions; a log that shrank or a broken connection brings one at once."""


class LogWatch:
    """Used by the pumping thread.

    Attributes:
        trouble: What the last question without an answer came to; None since one was answered.

    """

    def __init__(self, asks: Asks, clock: Clock) -> None:
        self._asks, self._clock = asks, clock
        self._ends_at = self._check_at = 0.0
        self._ends: Future[Mapping[Partition, int]] | None = None
        self._ends_asked_ms = 0
        self._look: Future[LogAnswers] | None = None
        self._asked: dict[Partition, tuple[Cursor, int]] = {}
        self.trouble: str | None = None

    def turn(self, cursors: Mapping[Partition, Cursor]) -> list[tuple[Cursor, LogMismatchError]]:
        """Ask and take answers, without waiting; returns the cursors whose log cannot continue their store."""
        self._refresh_ends(cursors)
        now = self._clock.seconds()
        if self._look is None and now >= self._check_at and cursors:
            self._check_at = now + CHECK_SECONDS
            self._asked = {at: (cursor, cursor.feed.position) for at, cursor in cursors.items()}
            self._look = self._asks.look(list(cursors))
        if self._look is None or not self._look.done():
            return []
        answer, self._look = self._look, None
        if self._failed(answer):
            self._check_at = now + ENDS_SECONDS
            return []
        return self._wrong(cursors, answer.result())

    def _failed(self, answer: "Future[Any]") -> bool:
        error = answer.exception()
        if error is not None and self.trouble is None:
            log.warning("the brokers did not say where the logs stand; asking again: %s", error)
        self.trouble = None if error is None else f"{type(error).__name__}: {error}"
        return error is not None

    def _wrong(self, cursors: Mapping[Partition, Cursor], answers: LogAnswers) -> list[tuple[Cursor, LogMismatchError]]:
        wrong = []
        for at, (cursor, position) in self._asked.items():
            if cursors.get(at) is not cursor:
                continue
            try:
                look_at(cursor, position, answers, self._clock.wall_ms())
            except LogMismatchError as error:
                wrong.append((cursor, error))
        return wrong

    def _refresh_ends(self, cursors: Mapping[Partition, Cursor]) -> None:
        now = self._clock.seconds()
        if self._ends is None and now >= self._ends_at and cursors:
            self._ends_at = now + ENDS_SECONDS
            self._ends_asked_ms = self._clock.wall_ms()
            self._ends = self._asks.ends(list(cursors))
        if self._ends is None or not self._ends.done():
            return
        answer, self._ends = self._ends, None
        if self._failed(answer):
            self._check_at = 0.0
            return
        for at, end in answer.result().items():
            if at in cursors:
                if end < cursors[at].end:
                    self._check_at = 0.0
                cursors[at].note_end(end, self._clock.wall_ms())
                cursors[at].note_asked(end, self._ends_asked_ms)


def look_at(cursor: Cursor, position: int, answers: LogAnswers, now_ms: int) -> None:
    """Compare with what the brokers say, and remember it.

    Args:
        cursor: Whose log it is.
        position: Where its store stood when the question was asked.
        answers: What they said.
        now_ms: Wall clock.

    Raises:
        LogMismatchError: the log cannot continue the store.

    """
    at = cursor.at
    cursor.origin = check_origin(at, cursor.origin, answers.cluster_id, answers.topics.get(at.topic))
    bounds = require_partition(at, answers.bounds, answers.topics.get(at.topic))
    check_end(at, position, bounds)
    cursor.note_end(bounds.end, now_ms)
    cursor.note_high(answers.high.get(at, 0), now_ms)
