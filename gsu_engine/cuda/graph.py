"""A captured sequence and its page-locked memory: what a replay sends, and what it fetches.

Invariant: both blocks belong to one replay at a time, from the moment its bytes are put there until its results have
been copied out, or, where nobody waits for those any more, until the device is through. A replay asked for meanwhile
is refused. What is replayed is the device's affair: it gives a function that queues it, and an event behind it.
"""

import weakref
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda.cupy_errors import translated


class Event(Protocol):
    """Comes when what was queued before it is done."""

    @property
    def done(self) -> bool:
        """Whether it has come."""
        ...

    def synchronize(self) -> None:
        """Wait for it."""
        ...


class StagedCopy:
    """The bytes that one replay fetches."""

    def __init__(self, event: Event, fetched: NDArray[np.uint8]) -> None:
        self._event, self._fetched = event, fetched
        self._content: NDArray[np.uint8] | None = None

    @property
    def is_taken(self) -> bool:
        """Whether somebody has them, so that the block may be written again."""
        return self._content is not None

    def wait(self) -> NDArray[np.uint8]:
        """The bytes, once they are there; they are the caller's own. Other threads run meanwhile.

        Raises:
            DeviceLostError: The device failed before.

        """
        if self._content is None:
            with translated():
                self._event.synchronize()
            self._content = self._fetched.copy()
        return self._content


class StagedGraph:
    """A `Graph`; replayed under its device's lock, while copies are waited for from any thread."""

    def __init__(self, run: Callable[[], Event], staged: NDArray[np.uint8], fetched: NDArray[np.uint8]) -> None:
        """Take what queues the sequence, and the page-locked memory that it copies from and to."""
        self._run = run
        self._staged, self._fetched = staged, fetched
        self._event: Event | None = None
        self._copy: weakref.ref[StagedCopy] | None = None

    def replay(self, data: NDArray[np.uint8]) -> StagedCopy | None:
        """See `Graph.replay`."""
        if self._is_busy():
            return None
        self._staged[: len(data)] = data
        self._event = self._run()
        copy = StagedCopy(self._event, self._fetched)
        self._copy = weakref.ref(copy)
        return copy

    def _is_busy(self) -> bool:
        awaited = self._copy() if self._copy else None
        if awaited is not None and not awaited.is_taken:
            return True
        return self._event is not None and not self._event.done
