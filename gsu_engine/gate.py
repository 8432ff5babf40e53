"""Many readers or one writer: searches share the tables, changes of vectors happen between searches.

Invariant: while anyone is inside `shared()`, nobody is inside `exclusive()`. A waiting writer goes before readers that
come later, so writers do not starve; a thread that is already inside may enter `shared()` again.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


class _Sharing(AbstractContextManager[None]):
    """`with` for readers; one object serves all of them, a search enters for a few microseconds' work."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate

    def __enter__(self) -> None:
        self._gate.enter_shared()

    def __exit__(self, *_: object) -> None:
        self._gate.leave_shared()


class Gate:
    """A readers-writer lock with preference for writers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writing = False
        self._waiting_writers = 0
        self._depth = threading.local()
        self._sharing = _Sharing(self)

    def shared(self) -> AbstractContextManager[None]:
        """Inside, the tables do not change."""
        return self._sharing

    def enter_shared(self) -> None:
        """What `shared` does first."""
        depth: int = getattr(self._depth, "value", 0)
        if depth == 0:
            with self._changed:
                while self._writing or self._waiting_writers:
                    self._changed.wait()
                self._readers += 1
        self._depth.value = depth + 1

    def leave_shared(self) -> None:
        """And last."""
        self._depth.value -= 1
        if self._depth.value == 0:
            with self._changed:
                self._readers -= 1
                if self._readers == 0 and self._waiting_writers:
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
