"""Time as ingest uses it, so that a simulation can bring its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds, wall clock in milliseconds since the epoch, sleep, and processor seconds of this thread."""

    seconds: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep
    worked: Callable[[], float] = time.thread_time
