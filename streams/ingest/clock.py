"""Time as ingest uses it, so that a simulation can bring its own."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Time.

    Attributes:
        seconds: Monotonic.
        wall_ms: Milliseconds since the epoch.
        sleep: So many seconds.
        worked: Processor seconds of this thread.
        wait: For an event, so many seconds at most.

    """

    seconds: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep
    worked: Callable[[], float] = time.thread_time
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait
