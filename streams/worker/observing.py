"""What operators see of requests: quality of every pass, slow requests, a summary line.

Invariant: it looks at results and changes none; a fault here never costs an answer more than its metrics.
Whoever else wants to see what was asked and answered is told last. The canary's asks are shown to nobody.
"""

import logging
from collections.abc import Callable, Sequence

from muse_stream.monitoring import Heartbeats, Metrics, Summary
from muse_stream.monitoring.logs import LineHandler
from muse_stream.monitoring.requests import QualityMetrics
from muse_stream.streams.serving.pipeline import Ask, Found, Parts, Pipeline
from muse_stream.streams.wire.ids import is_reserved

log = logging.getLogger(__name__)

SEARCH_THREAD = "search"
Seen = Callable[[Sequence[Ask], Sequence[Found | Exception]], None]
"""Told of the asks and answers of a pass, in the search thread: it must be quick."""


class ObservedPipeline(Pipeline):
    """A pipeline whose scores and cosines are counted, and whose passes must come to an end."""

    def __init__(self, parts: Parts, quality: QualityMetrics, beats: Heartbeats, *seen: Seen) -> None:
        super().__init__(parts)
        self._seen = seen
        self._quality = quality
        self._beats = beats

    def __call__(self, asks: Sequence[Ask]) -> list[Found | Exception]:
        """Answer each ask as the pipeline does, then count what came out."""
        self._beats.beat(SEARCH_THREAD)
        try:
            answers = super().__call__(asks)
        finally:
            self._beats.stop(SEARCH_THREAD)
        counted = [number for number, ask in enumerate(asks) if not is_reserved(ask.request.user_text)]
        if counted:
            self._show([asks[number] for number in counted], [answers[number] for number in counted])
        return answers

    def _show(self, asks: Sequence[Ask], answers: Sequence[Found | Exception]) -> None:
        for found in answers:
            if isinstance(found, Found):
                self._quality.retrieved(found.result.scores, found.result.count, found.without_vector)
                if found.probabilities is not None:
                    self._quality.scored(found.probabilities)
        for seen in self._seen:
            seen(asks, answers)


class SummaryLog:
    """Writes the summary line whenever it is called; nothing while metrics are off."""

    def __init__(self, metrics: Metrics) -> None:
        self._summary = Summary(metrics) if metrics.enabled else None

    async def write(self) -> None:
        """Write what came since the last call."""
        if self._summary is not None:
            line = self._summary.line()
            log.log(line.level, "%s", line.text)


class SettledLog:
    """Has the last lines of bursts written that are over, though nothing else may be logged."""

    def __init__(self, lines: LineHandler) -> None:
        self._lines = lines

    async def settle(self) -> None:
        """Write them."""
        self._lines.settle()
