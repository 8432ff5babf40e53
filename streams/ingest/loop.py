"""A thread that turns until told to stop, and takes commands from other threads between two turns.

Invariants: a command runs in the loop's thread and its future gets exactly one answer, also when the loop fails or has
stopped; an exception that leaves `_turn` ends the loop visibly: `health` carries the traceback, and so does the answer
to every later command.
"""

import logging
import queue
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from muse_stream.streams.errors import IngestStoppedError
from muse_stream.streams.ingest.status import ServiceHealth

log = logging.getLogger(__name__)
T = TypeVar("T")

Command = tuple[Callable[[], Any], "Future[Any]"]


class LoopThread(ABC):
    """Base of the ingest service and the item reader."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._stop = threading.Event()
        self._ended = False
        self._error: str | None = None
        self._seconds = clock
        self._beat = clock()

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """Finish the turn in progress, release everything and end the thread; quiet when it has ended already.

        Raises:
            IngestStoppedError: the thread did not end in time.

        """
        if not self.abandon(timeout_seconds):
            message = f"{self._thread.name} did not stop in {timeout_seconds:.0f} s; what it stored is safe, kill it"
            raise IngestStoppedError(message)

    def abandon(self, timeout_seconds: float) -> bool:
        """Stop without insisting: returns whether the thread has ended. It is a daemon and never holds up an exit."""
        self._stop.set()
        self._commands.put((lambda: None, Future()))
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def call(self, work: Callable[[], T]) -> "Future[T]":
        """Run `work` in the loop's thread between two turns. Returns at once; any thread."""
        future: Future[T] = Future()
        with self._gate:
            if not self._ended:
                self._commands.put((work, future))
                self._wake()
                return future
        future.set_exception(self._gone())
        return future

    def health(self) -> ServiceHealth:
        """Plain reading; any thread."""
        alive = self._thread.is_alive() and not self._ended
        return ServiceHealth(alive, self._error, self._broker_error(), max(0.0, self._seconds() - self._beat))

    def beat(self) -> None:
        """Say from inside a turn, or a command, that takes long: it moves."""
        self._beat = self._seconds()

    @abstractmethod
    def _turn(self) -> float:
        """Do one round; return how many seconds to rest before the next (0.0: none). A command ends the rest."""

    @abstractmethod
    def _release(self) -> None:
        """Close everything; called once, in the thread, however the loop ended."""

    @abstractmethod
    def _wake(self) -> None:
        """End the wait inside `_turn`, if there is one; any thread."""

    def _broker_error(self) -> str | None:
        return None

    def _run(self) -> None:
        try:
            rest = 0.0
            while not self._stop.is_set():
                self._take_commands(rest)
                self.beat()
                rest = 0.0 if self._stop.is_set() else self._turn()
        except BaseException:
            self._error = traceback.format_exc()
            log.critical("%s ended by an unexpected error; restart the worker\n%s", self._thread.name, self._error)
        finally:
            self._end()

    def _take_commands(self, rest_seconds: float) -> None:
        try:
            command = self._commands.get(timeout=rest_seconds) if rest_seconds > 0 else self._commands.get_nowait()
            while True:
                self._answer(*command)
                command = self._commands.get_nowait()
        except queue.Empty:
            return

    def _answer(self, work: Callable[[], Any], future: "Future[Any]") -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    def _end(self) -> None:
        with self._gate:
            self._ended = True
        try:
            self._release()
        except Exception:
            log.exception("%s: closing failed", self._thread.name)
        while not self._commands.empty():
            _, future = self._commands.get_nowait()
            if future.set_running_or_notify_cancel():
                future.set_exception(self._gone())

    def _gone(self) -> IngestStoppedError:
        cause = self._error or "it was stopped"
        return IngestStoppedError(f"{self._thread.name} is not running: {cause}")
