"""How far a worker is with restoring what it was assigned: how much is left, and how long that may take.

Invariant: what is told is what was seen. The pace is that of the present replay, and while there is none yet nothing is
said of the time.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from muse_stream.monitoring.readings import IngestReading

Arriving = Callable[[], Mapping[int, tuple[int, int]]]
"""Partitions whose snapshots are on their way, with bytes done and bytes to do."""


class RestoreProgress:
    """Looks at the same readings as the checks, whenever it is asked.

    Args:
        read: Where ingest stands.
        arriving: Snapshots that are being restored.
        clock: Monotonic seconds.

    """

    def __init__(
        self,
        read: Callable[[], IngestReading],
        arriving: Arriving = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._arriving, self._clock = read, arriving, clock
        self._began: tuple[float, int] | None = None  # when the present replay was first seen, and what was left
        self._lock = threading.Lock()

    def look(self) -> dict[str, Any]:
        """For a JSON body: partitions assigned and ready, share replayed, records and seconds left.

        `share` is the worst partition's; `seconds_left` is None while there is no pace to tell it from.
        """
        reading = self._read()
        left = sum(lag.messages for lag in reading.lags if not lag.ready)
        with self._lock:
            seconds = self._seconds_left(left)
        snapshots = [
            {"partition": number, "done_bytes": done, "total_bytes": total}
            for number, (done, total) in sorted(self._arriving().items())
        ]
        return {
            "partitions": reading.serving + reading.standby,
            "ready": reading.ready,
            "share": round(reading.replayed, 4),
            "records_left": left,
            "seconds_left": seconds,
            "snapshots": snapshots,
        }

    def _seconds_left(self, left: int) -> float | None:
        now = self._clock()
        if not left:
            self._began = None
            return 0.0
        if self._began is None or left > self._began[1]:
            self._began = now, left
        since, before = self._began
        return round(left * (now - since) / (before - left), 1) if left < before else None
