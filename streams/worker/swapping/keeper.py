"""A thread per slot that brings the wanted model into service between two passes, and lets the former one go.

Invariants: what runs goes on running until the new one has done everything that a request will ask of it; whatever goes
wrong before, the old one stays and the reason is logged, counted and shown. A newer target ends the work on an older
one at its next step. Only a location that cannot be reached, and vectors that are still missing, are waited for.
"""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from itertools import chain, repeat

from muse_stream.esu_scorer import EsuError, ServedModel
from muse_stream.esu_scorer.errors import StoreUnreachableError
from muse_stream.gsu_engine import GsuError
from muse_stream.monitoring import ReloadMetrics
from muse_stream.streams.serving.live import Live
from muse_stream.streams.worker.swapping.attempt import Attempt, Means
from muse_stream.streams.worker.swapping.memory import give_back
from muse_stream.streams.worker.swapping.priority import lower
from muse_stream.streams.worker.swapping.slot import Slot
from muse_stream.streams.worker.swapping.target import (
    Outcome,
    Progress,
    Refusal,
    RefusedError,
    SupersededError,
    Target,
)

log = logging.getLogger(__name__)

PAUSES_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Between attempts while the location cannot be reached; the last one again and again."""
RELEASE_LOOK_SECONDS = 0.02
"""Between looks whether the former bundle's last pass is over: a pass takes milliseconds."""
CLOSE_SECONDS = 5.0
"""What is under way ends at its next step; the thread is a daemon."""


class Keeper:
    """Keeps a slot at its target. `want` from any thread."""

    def __init__(
        self, slot: Slot, means: Means, metrics: ReloadMetrics, changed: Callable[[], None] = lambda: None
    ) -> None:
        """Prepare; `start` begins.

        Args:
            slot: What is kept; a live slot runs something already.
            means: What to work with.
            metrics: Counts.
            changed: Told after every change of the slot, in the keeper's thread.

        """
        self._slot, self._means, self._metrics, self._changed = slot, means, metrics, changed
        self._news = threading.Condition()
        self._wanted: Target | None = None
        self._number = self._done = 0
        self._stopping = False
        self._gone: list[tuple[weakref.ref[Live], ServedModel | None]] = []
        self._thread = threading.Thread(target=self._run, name=f"muse-{slot.name}-model", daemon=True)

    def want(self, target: Target | None) -> None:
        """Have this from now on; None: nothing, for a slot that may be empty."""
        with self._news:
            self._wanted, self._number = target, self._number + 1
            self._news.notify_all()

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """End; what runs goes on."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        lower()
        while True:
            with self._news:
                patience = RELEASE_LOOK_SECONDS if self._gone else None
                self._news.wait_for(lambda: self._stopping or self._number != self._done, patience)
                if self._stopping:
                    return
                target, number, is_new = self._wanted, self._number, self._number != self._done
                self._done = number
            if is_new:
                self._follow(target, number)
            self._release()

    def _follow(self, target: Target | None, number: int) -> None:
        if target is None:
            self._let_go()
            return
        for pause in chain(PAUSES_SECONDS, repeat(PAUSES_SECONDS[-1])):
            if self._runs(target):
                self._slot.progress = self._slot.refusal = None
                self._changed()
                return
            if self._try(target, number) is not Outcome.UNREACHABLE or not self._pause(pause, number):
                return

    def _runs(self, target: Target) -> bool:
        running = self._slot.running
        info = running.live.info if running else None
        return (
            running is not None and info is not None and self._is_same(target, running.name, info.digest, running.share)
        )

    def _is_same(self, target: Target, name: str, digest: str, share: float) -> bool:
        return (target.digest, target.name) == (digest, name) and target.share in {0.0, share}

    def _try(self, target: Target, number: int) -> Outcome:
        began = time.perf_counter()
        try:
            outcome, reason = self._bring(target, number), ""
        except SupersededError:
            outcome, reason = Outcome.SUPERSEDED, ""
        except StoreUnreachableError as error:
            outcome, reason = Outcome.UNREACHABLE, str(error)
        except (RefusedError, EsuError, GsuError) as error:
            outcome, reason = Outcome.REFUSED, str(error)
        except OSError as error:
            outcome, reason = Outcome.UNREACHABLE, f"{type(error).__name__}: {error}; mend it, it is tried again"
        except Exception as error:
            log.exception("slot %s: a fault of this program while %s was loaded", self._slot.name, target)
            outcome, reason = Outcome.FAILED, f"{type(error).__name__}: {error}; see the worker's log"
        self._ended(target, outcome, reason, time.perf_counter() - began)
        return outcome

    def _bring(self, target: Target, number: int) -> Outcome:
        def show(progress: Progress) -> None:
            self._slot.progress = progress
            self._changed()

        attempt = Attempt(self._means, target, lambda seconds: self._pause(seconds, number), show)
        live = attempt.run(answers=self._slot.name == "live")
        self._remember_running()
        self._slot.install(target.name, live, target.share or 1.0)
        return Outcome.SWAPPED

    def _ended(self, target: Target, outcome: Outcome, reason: str, seconds: float) -> None:
        self._metrics.ended(self._slot.name, outcome, seconds)
        self._slot.progress = None
        if outcome is Outcome.SWAPPED:
            log.info("slot %s runs %s since now; it took %.1f s", self._slot.name, target, seconds)
        elif reason:
            stays = f"{self._slot.running.name} stays" if self._slot.running else "the slot stays empty"
            log.error("slot %s: %s is not used (%s), %s: %s", self._slot.name, target, outcome, stays, reason)
            self._slot.refusal = Refusal(target, reason, is_retried=outcome is Outcome.UNREACHABLE)
        self._changed()
        self._means.engines.close_unused()
        if outcome is not Outcome.SWAPPED:
            give_back()

    def _let_go(self) -> None:
        """Empty the slot, where it may be; a slot that answers keeps what it has."""
        if self._slot.name == "live":
            return
        self._remember_running()
        self._slot.empty()
        log.info("slot %s is empty since now", self._slot.name)
        self._changed()

    def _remember_running(self) -> None:
        """Watch what goes, and hold its model: to free hundreds of MB is nothing for the thread of the last pass."""
        if self._slot.running is not None:
            live = self._slot.running.live
            self._gone.append((weakref.ref(live), live.model))

    def _release(self) -> None:
        """Close the engines of bundles whose last pass is over, and give their memory back."""
        left = [(bundle, model) for bundle, model in self._gone if bundle() is not None]
        is_less = len(left) < len(self._gone)
        self._gone = left
        if is_less:
            self._means.engines.close_unused()
            give_back()

    def _pause(self, seconds: float, number: int) -> bool:
        """Wait so long; False as soon as something else is wanted."""
        self._release()
        with self._news:
            return not self._news.wait_for(lambda: self._stopping or self._number != number, seconds)
