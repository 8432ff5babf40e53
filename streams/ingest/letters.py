"""Dead letters on their way to the broker.

Invariant: a `Delivery` is settled only when the broker has acknowledged every letter in it; what fails is sent again,
with a growing pause, for as long as the batch waits. Nothing is given up: the position behind it is not written.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future

from muse_stream.streams.ingest.ports import DeadLetterSink
from muse_stream.streams.wire.rejects import Reject

log = logging.getLogger(__name__)

PAUSE_FIRST_SECONDS = 0.2
"""A leader election takes about this long."""
PAUSE_MAX_SECONDS = 10.0
"""A broker that came back is noticed after this long at the latest."""


class Delivery:
    """The rejects of one batch, sent and, where needed, sent again. Used by one thread.

    Attributes:
        error: Why the last attempt failed; None while nothing has.

    """

    def __init__(self, sink: DeadLetterSink, rejects: Sequence[Reject], clock: Callable[[], float]) -> None:
        self.error: str | None = None
        self._sink, self._rejects, self._clock = sink, rejects, clock
        self._pause = PAUSE_FIRST_SECONDS
        self._again_at = 0.0
        self._flying: Future[None] | None = sink.send(rejects) if rejects else None

    def settled(self) -> bool:
        """Whether all are acknowledged; looks, sends again what failed, and never waits."""
        if not self._rejects:
            return True
        if self._flying is None and self._clock() >= self._again_at:
            self._flying = self._sink.send(self._rejects)
        if self._flying is None or not self._flying.done():
            return False
        failure = CancelledError("not sent") if self._flying.cancelled() else self._flying.exception()
        if failure is None:
            self._rejects = ()
            return True
        self._failed(failure)
        return False

    def _failed(self, failure: BaseException) -> None:
        self._flying = None
        self._again_at = self._clock() + self._pause
        self.error = f"{len(self._rejects)} dead letters are not acknowledged: {failure}"
        first = self._rejects[0]
        log.warning("%s-%d waits, trying again in %.1f s: %s", first.topic, first.partition, self._pause, self.error)
        self._pause = min(self._pause * 2, PAUSE_MAX_SECONDS)
