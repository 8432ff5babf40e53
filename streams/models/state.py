"""What the control topic says, put together from its records.

Invariant: every slot and worker has what its latest readable record says.
"""

import logging
import threading
from dataclasses import dataclass

from muse_stream.streams.errors import WireError
from muse_stream.streams.models.control import STALE_MS, Activation, Reported, Slot, SlotSet, WorkerReport, decode
from muse_stream.streams.records import RecordBatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker's report and when the broker stamped it."""

    report: WorkerReport
    broker_time_ms: int

    def stale(self, now_ms: int) -> bool:
        """Whether the worker has been silent for too long."""
        return now_ms - self.broker_time_ms > STALE_MS


class ControlState:
    """Written by one thread, readable from any.

    Attributes:
        skipped: Records that could not be read.

    """

    def __init__(self) -> None:
        self.skipped = 0
        self._lock = threading.Lock()
        self._slots: dict[Slot, Activation] = {}
        self._reports: dict[str, Seen] = {}

    def slots(self) -> dict[Slot, Activation]:
        """What each slot that is not empty is to have."""
        with self._lock:
            return dict(self._slots)

    def reports(self) -> dict[str, Seen]:
        """The last report of each worker that has not left in order."""
        with self._lock:
            return dict(self._reports)

    def take(self, batch: RecordBatch) -> None:
        """Apply records; those that cannot be read are logged and counted."""
        columns = zip(batch.keys, batch.values, batch.offset.tolist(), batch.broker_time_ms.tolist(), strict=True)
        for key, value, offset, time_ms in columns:
            try:
                found = decode(key, value)
            except WireError as error:
                self.skipped += 1
                log.warning("%s at offset %d is skipped: %s", batch.topic, offset, error)
                continue
            with self._lock:
                self._put(found, time_ms)

    def _put(self, found: SlotSet | Reported, time_ms: int) -> None:
        if isinstance(found, Reported):
            if found.report is None:
                self._reports.pop(found.worker, None)
            else:
                self._reports[found.worker] = Seen(found.report, time_ms)
        elif found.activation is None:
            self._slots.pop(found.slot, None)
        else:
            self._slots[found.slot] = found.activation
