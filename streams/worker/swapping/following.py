"""Between the control topic and the slots: activations come in, reports of what runs go out.

Invariant: a report is made when it is sent, so the last one says what is. Neither direction holds up an answer or a
swap; brokers that are away are tried again.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress

from muse_stream.streams.errors import StreamsError
from muse_stream.streams.models.control import (
    REPEAT_SECONDS,
    SLOTS,
    Activation,
    Loading,
    Refused,
    Running,
    WorkerReport,
)
from muse_stream.streams.models.control import Slot as SlotName
from muse_stream.streams.models.follower import ControlFollower, OnChange
from muse_stream.streams.models.writer import ControlWriter
from muse_stream.streams.worker.swapping.models import Models
from muse_stream.streams.worker.swapping.slot import Slot
from muse_stream.streams.worker.swapping.target import Target

log = logging.getLogger(__name__)

KNOWN_SECONDS = 15.0
"""How long a start waits to learn what is activated, before it begins with the settings' model."""
PAUSE_SECONDS = 0.2
"""Between two reports: a swap has several steps, of which the last one matters."""
REASON_LENGTH = 1_000
CLOSE_SECONDS = 5.0


def target_of(activation: Activation | None) -> Target | None:
    """What a slot is to run."""
    if activation is None:
        return None
    return Target(activation.name, activation.digest, activation.at_ms, activation.share or 0.0)


def first_target(follower: ControlFollower) -> Target | None:
    """What is activated when a worker starts; None: nothing, or it cannot be learnt now."""
    try:
        follower.caught_up.result(KNOWN_SECONDS)
    except NotYet:
        log.warning(
            "the control topic was not read within %.0f s (%s): the model of the settings answers until it is",
            *(KNOWN_SECONDS, follower.trouble or "no error so far"),
        )
        return None
    return target_of(follower.current("live"))


def report_of(worker: str, models: Models) -> WorkerReport:
    """What the slots run now."""
    slots = (models.live, models.shadow)
    progress = next((slot.progress for slot in slots if slot.progress), None)
    refusal = next((slot.refusal for slot in slots if slot.refusal), None)
    return WorkerReport(
        worker=worker,
        at_ms=int(time.time() * 1e3),
        live=_running(models.live),
        shadow=_running(models.shadow),
        loading=Loading(progress.target.name, progress.target.digest, progress.step, progress.coverage)
        if progress
        else None,
        refused=Refused(
            refusal.target.name, refusal.target.digest, refusal.reason[:REASON_LENGTH], refusal.target.at_ms
        )
        if refusal
        else None,
    )


def _running(slot: Slot) -> Running | None:
    running = slot.running
    info = running.live.info if running else None
    return Running(running.name, info.digest, info.space) if running and info else None


class Following:
    """Follower and writer at work for one worker's models."""

    def __init__(self, make_follower: Callable[[OnChange], ControlFollower]) -> None:
        """Begin to read the control topic; what it says is kept until `follow`.

        Args:
            make_follower: Makes one that tells this of changes.

        """
        self._models: Models | None = None
        self._follower = make_follower(self._changed)
        self._writer: ControlWriter | None = None
        self._worker = ""
        self._telling = threading.Lock()
        self._news, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._report, name="muse-model-report", daemon=True)

    def first(self) -> Target | None:
        """Start reading, and wait for what is activated."""
        self._follower.start()
        return first_target(self._follower)

    @property
    def skipped(self) -> int:
        """Records of the control topic that could not be read."""
        return self._follower.skipped

    def follow(self, models: Models, writer: ControlWriter, worker: str) -> None:
        """Tell the models of every change, those that came before included, and report what they run."""
        self._models, self._writer, self._worker = models, writer, worker
        models.changed = self._news.set
        for slot in SLOTS:
            if self._follower.current(slot) is not None:
                self._changed(slot)
        self._news.set()
        self._thread.start()

    def close(self) -> None:
        """Leave: the worker's report is taken away."""
        self._follower.close()
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)
        if self._writer:
            with suppress(StreamsError):
                self._writer.leave(self._worker)
            self._writer.close()

    def _changed(self, slot: SlotName, _: Activation | None = None) -> None:
        """Pass on what counts now; from two threads at first, so never what counted a moment ago."""
        with self._telling:
            if self._models is not None:
                self._models.want(slot, target_of(self._follower.current(slot)))

    def _report(self) -> None:
        while not self._stopping.is_set():
            self._news.wait(REPEAT_SECONDS)
            self._news.clear()
            if self._stopping.is_set():
                return
            self._send()
            self._stopping.wait(PAUSE_SECONDS)

    def _send(self) -> None:
        if self._models is None or self._writer is None:
            return
        try:
            self._writer.report(report_of(self._worker, self._models))
        except StreamsError as error:
            log.warning("the report of this worker's models was not written; the next one says as much: %s", error)
