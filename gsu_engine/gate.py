"""Many readers or one writer: searches share the tables, changes of vectors happen between searches.

Invariant: while anyone is inside `shared()`, nobody is inside `exclusive()`. A waiting writer goes before readers that
come later, so writers do not starve; a thread that is already inside may enter `shared()` again.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A readers-writer lock with preference for writers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writing = False
        self._waiting_writers = 0
        self._depth = threading.local()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Inside, the tables do not change."""
        depth: int = getattr(self._depth, "value", 0)
        if depth == 0:
            self._enter_shared()
        self._depth.value = depth + 1
        try:
            yield
        finally:
            self._depth.value = depth
            if depth == 0:
                self._leave_shared()

    def _enter_shared(self) -> None:
        with self._changed:
            while self._writing or self._waiting_writers:
                self._changed.wait()
            self._readers += 1

    def _leave_shared(self) -> None:
        with self._changed:
            self._readers -= 1
            if self._readers == 0:
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Inside, nobody reads. Not from within `shared()`: a thread cannot wait for itself.

        Raises:
            RuntimeError: The calling thread is inside `shared()`.

        """
        if getattr(self._depth, "value", 0):
            message = "a thread inside shared() asked for exclusive(): leave shared() first"
            raise RuntimeError(message)
        with self._changed:
            self._waiting_writers += 1
            while self._writing or self._readers:
                self._changed.wait()
            self._waiting_writers -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
