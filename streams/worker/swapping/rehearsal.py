"""Requests of the last while, and a bundle made to answer them before it answers anybody.

Nothing of a request is kept but the request itself: a rehearsal reads the stores anew, retrieves and scores, so it also
makes the users of these requests resident in the bundle's engine.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.pipeline import Ask, Found, Parts, Pipeline
from muse_stream.streams.worker.swapping.checks import check_scores, require_probabilities

CAPTURED = 16
"""Enough for the usual shapes, and a fraction of a second to score."""


class Captured:
    """The latest requests that were scored. Written by the search thread, read by any."""

    def __init__(self) -> None:
        self._asks: deque[Ask] = deque(maxlen=CAPTURED)

    def note(self, asks: Sequence[Ask]) -> None:
        """Remember the last of these."""
        self._asks.extend(ask for ask in asks[-CAPTURED:] if ask.wants_scores)

    def asks(self) -> list[Ask]:
        """The latest ones, as if they had just come, without extras and with all the time there is."""
        return [ask.bare(math.inf) for ask in list(self._asks)]


def rehearse(live: Live, parts: Parts, asks: Sequence[Ask], rest: Callable[[float], None]) -> int:
    """Let a bundle score made-up and captured requests, one after the other.

    Args:
        live: The bundle; it has a model.
        parts: Of the pipeline that answers.
        asks: Captured requests; those that cannot be answered now, or not in this space, are passed over.
        rest: Called after each with the seconds that it took, to leave as many to the passes; raises to end it.

    Returns:
        How many captured requests were scored.

    Raises:
        RefusedError: A score is no probability.
        EsuError: The model does not score.

    """
    if live.model is None:
        return 0
    check_scores(live.model)
    pipeline, scored = Pipeline(replace(parts, live=lambda: live)), 0
    for ask in asks:
        began = time.perf_counter()
        (found,) = pipeline([ask])
        if isinstance(found, Found) and found.probabilities is not None:
            require_probabilities(found.probabilities, len(ask.request.items))
            scored += 1
        rest(time.perf_counter() - began)
    return scored
