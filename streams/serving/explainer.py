"""Explanations are computed apart from passes, in a thread of their own, one after the other.

So an answer to somebody else never waits for an explanation, only shares the cores with one. Invariant: an answer that
was computed goes out, with its explanation or, where that is too late, too much, or fails, without.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Generic, TypeVar

from muse_stream.esu_scorer.explain import explain
from muse_stream.streams.serving.pipeline import Ask, Found
from muse_stream.streams.serving.shed import ExpiredError

log = logging.getLogger(__name__)

WAITING_MAX = 16
"""Explanations that wait or run; above it answers come without. At 20 candidates and K = R = 50 each took 45 ms on a
busy machine (`benchmarks.explain`): the last of 16 still comes within a second."""

Reply = TypeVar("Reply")


class Explainer(Generic[Reply]):
    """Finishes answers that are to be explained; `reply` and `stop` on one event loop.

    Args:
        finish: Encodes an answer; called in a thread.
        waiting_max: Explanations under way above which answers come without.

    """

    def __init__(self, finish: Callable[[Ask, Found], Reply], waiting_max: int = WAITING_MAX) -> None:
        self._finish = finish
        self._waiting_max = waiting_max
        self._waiting = 0
        self._is_stopped = False
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="muse-explain")

    async def reply(self, ask: Ask, found: Found) -> Reply:
        """The finished answer."""
        if self._is_stopped or self._waiting >= self._waiting_max:
            return await asyncio.to_thread(self._finish, ask, replace(found, explaining=None))
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._explain, ask, found)
        finally:
            self._waiting -= 1

    def stop(self) -> None:
        """End after the explanation in flight; those that wait are cancelled."""
        self._is_stopped = True
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _explain(self, ask: Ask, found: Found) -> Reply:
        try:
            found = explained(ask, found)
        except ExpiredError:
            found = replace(found, explaining=None)
        except Exception:
            log.exception("an explanation failed; its answer goes out without", extra=ask.names)
            found = replace(found, explaining=None)
        ask.clock.mark("explain")
        return self._finish(ask, found)


def is_open(found: Found) -> bool:
    """Whether an explanation is still to be computed."""
    asked = found.explaining
    return asked is not None and asked.subject is not None and found.explained is None


def explained(ask: Ask, found: Found) -> Found:
    """The same with its explanation, by the model that scored. Raises ExpiredError: the deadline passed over it."""

    def before_tile() -> None:
        if time.perf_counter() > ask.deadline:
            message = "the deadline passed while the scores were explained"
            raise ExpiredError(message)

    model, asked = found.live.model, found.explaining
    if model is None or asked is None or asked.subject is None:
        return found
    before_tile()
    return replace(found, explained=explain(model, asked.subject, before_tile))
