"""Time on a device, by its own events; on a machine without one, the host's clock stands in."""

import importlib
import time
from typing import Any, Protocol

Mark = Any  # a moment: an event of the device, or seconds


class Clock(Protocol):
    """Marks moments in the order of a device's work."""

    def mark(self) -> Mark:
        """The moment at which all that was asked before is done; does not wait for it."""
        ...

    def seconds(self, first: Mark, last: Mark) -> float:
        """Between two marks; waits for the second."""
        ...

    def wait(self) -> None:
        """Until the device has nothing left to do."""
        ...

    def forget(self) -> None:
        """Nothing that was read before lies in the device's cache afterwards."""
        ...


class HostClock:
    """For work that is done when it returns."""

    def mark(self) -> Mark:
        """Now."""
        return time.perf_counter()

    def seconds(self, first: Mark, last: Mark) -> float:
        """The difference."""
        return float(last - first)

    def wait(self) -> None:
        """Nothing is under way."""

    def forget(self) -> None:
        """The host's caches are left alone."""


class EventClock:
    """CUDA events on one stream, through CuPy."""

    def __init__(self, stream: Any = None) -> None:  # noqa: ANN401 - CuPy has no annotations
        """Take a stream of CuPy's; None: the default one, which Torch and CuPy work on."""
        self._cupy = importlib.import_module("cupy")
        self._stream = stream or self._cupy.cuda.Stream.null
        cache_bytes = self._cupy.cuda.Device().attributes["L2CacheSize"]
        self._other = self._cupy.zeros(4 * cache_bytes, self._cupy.uint8)

    def mark(self) -> Mark:
        """Record an event."""
        event = self._cupy.cuda.Event()
        event.record(self._stream)
        return event

    def seconds(self, first: Mark, last: Mark) -> float:
        """Elapsed device time."""
        last.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(first, last)) / 1e3

    def wait(self) -> None:
        """Synchronise the whole device."""
        self._cupy.cuda.Device().synchronize()

    def forget(self) -> None:
        """Write four times as much as the second-level cache holds, and wait."""
        self._other += 1
        self.wait()
