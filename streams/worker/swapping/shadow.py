"""A second model scores a share of the requests; how far it is from the answers is shown as metrics.

Invariants: what it computes goes nowhere but into metrics. A request is handed over once its answer is computed, and
never waited for: under load, that is while requests wait for a pass or the last hand-over is still being scored, it is
dropped and counted. A fault here costs a comparison, never an answer.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.monitoring import ShadowMetrics
from muse_stream.streams.serving.features import in_share
from muse_stream.streams.serving.live import Live
from muse_stream.streams.serving.pipeline import Ask, Found, Pipeline
from muse_stream.streams.worker.swapping.priority import lower
from muse_stream.streams.worker.swapping.slot import Slot

log = logging.getLogger(__name__)

WAITING_MAX = 1
"""Passes that wait for the shadow while it scores one."""
LOOK_SECONDS = 0.5
"""How long an idle shadow may hold on to its end."""
CLOSE_SECONDS = 5.0
"""The thread is a daemon; one pass takes milliseconds."""

Answered = tuple[Ask, Found]


@dataclass(frozen=True, slots=True)
class Difference:
    """How two rankings of one request's candidates differ.

    Attributes:
        absolute: `[C] float32` of the probabilities.
        rank: Mean shift in rank as a share of C: 0 the same order, 1/2 reversed.

    """

    absolute: NDArray[np.float32]
    rank: float


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> Difference:
    """Compare two models' probabilities `[C] float32` of the same candidates; equal scores rank in request order."""
    shift = np.abs(_ranks(one) - _ranks(other))
    return Difference(np.abs(one - other), float(shift.mean()) / len(one) if len(one) else 0.0)


def _ranks(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return ranks


class Shadow:
    """Scores what it is offered, in a thread of its own."""

    def __init__(
        self, slot: Slot, pipeline: Pipeline, metrics: ShadowMetrics, waiting: Callable[[], int] = lambda: 0
    ) -> None:
        """Prepare; `start` begins.

        Args:
            slot: What the shadow runs; while it is empty, nothing is taken.
            pipeline: Computes again; used by this thread alone.
            metrics: Counts.
            waiting: Requests that wait for a pass.

        """
        self._slot, self._pipeline, self._metrics, self._waiting = slot, pipeline, metrics, waiting
        self._queue: queue.Queue[list[Answered]] = queue.Queue(WAITING_MAX)
        self._stopping = threading.Event()
        self._failed_digest: str | None = None
        self._thread = threading.Thread(target=self._run, name="muse-shadow", daemon=True)

    def offer(self, asks: Sequence[Ask], answers: Sequence[Found | Exception]) -> None:
        """Take what is of the share; never waits."""
        running = self._slot.running
        if running is None:
            return
        taken = [
            (ask, found)
            for ask, found in zip(asks, answers, strict=True)
            if isinstance(found, Found)
            and found.probabilities is not None
            and in_share(ask.request.user, running.share)
        ]
        if not taken:
            return
        try:
            if self._waiting():
                raise queue.Full
            self._queue.put_nowait(taken)
        except queue.Full:
            self._metrics.left_out("dropped", len(taken))

    def start(self) -> None:
        """Begin to score."""
        self._thread.start()

    def close(self) -> None:
        """End after the request that is being scored."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        lower()
        while not self._stopping.is_set():
            try:
                taken = self._queue.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            self._score_all(taken)
            del taken  # with it the bundle that answered, which may be waited for

    def _score_all(self, taken: list[Answered]) -> None:
        for ask, found in taken:
            running = self._slot.running
            if running is None or self._stopping.is_set() or self._waiting():
                self._metrics.left_out("dropped")
            elif len(ask.request.own_rows) and ask.request.space != running.live.space:
                self._metrics.left_out("unfit")
            else:
                self._score(ask, found, running.live)

    def _score(self, ask: Ask, found: Found, live: Live) -> None:
        try:
            again = self._pipeline.again(ask, found, live)
        except Exception:
            self._failed(ask, live)
            return
        if again.probabilities is None or found.probabilities is None:
            self._metrics.left_out("failed")
            return
        seen = difference(found.probabilities, again.probabilities)
        self._metrics.compared(seen.absolute, seen.rank)

    def _failed(self, ask: Ask, live: Live) -> None:
        """Count the exception that is being handled; the first of each model is logged."""
        self._metrics.left_out("failed")
        digest = live.info.digest if live.info else ""
        if digest != self._failed_digest:
            self._failed_digest = digest
            text = "the shadow %s did not score a request; further ones are only counted"
            log.exception(text, digest[:12], extra=ask.names)
