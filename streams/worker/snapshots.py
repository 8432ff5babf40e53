"""Snapshots of the partitions that this worker owns, made in a thread of their own.

Invariant: neither the event loop nor ingest waits for a location: the store is asked for a checkpoint, which takes
milliseconds, and everything else works on those files. A failure is counted, shown and tried again; nothing else
depends on it.

The checkpoint lies beside the store (`.behaviours-3.snapshot`), because only there its files are hard links. What a
worker that was killed left of it goes when the next one starts.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from muse_stream.monitoring import CheckResult, SnapshotReading
from muse_stream.state.errors import StateError
from muse_stream.state.snapshot_keeping import latest, prune
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshot_manifest import Manifest
from muse_stream.state.snapshots import write
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.worker.snapshot_status import Copied, PartitionSnapshots, Schedule

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks at what is owned and due."""
RETRY_SECONDS = 60.0
"""After a failure."""
CLOSE_SECONDS = 5.0
"""A location that does not answer does not hold up a stop: the thread is a daemon, and its upload is repeated whole."""


@dataclass(slots=True)
class _Counts:
    written: int = 0
    failures: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Known:
    shown: PartitionSnapshots
    since_ms: int
    due: float = field(default=0.0)


class _Empty(Exception):
    """The store has read nothing: a snapshot of it would only ask for the whole log."""


class _Stopped(Exception):
    """The worker ends."""


class Snapshots(LoopThread):
    """Makes them when they are due or asked for, one after the other. Methods from any thread."""

    def __init__(
        self,
        schedule: Schedule,
        lease: Callable[[int], AbstractContextManager[Copied]],
        owned: Callable[[], Mapping[int, bool]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is read or written before `start`.

        Args:
            schedule: Where, how often, how many.
            lease: Lends the open store of a partition.
            owned: Partitions that this worker serves, and whether their stores have caught up: one that has not
                would take the place of a later snapshot.
            clock: Seconds, for what is due.

        Raises:
            SnapshotLocationError: No such kind of location.

        """
        super().__init__("snapshots", clock)
        SnapshotLocation(schedule.location, schedule.topic, 0)
        self._schedule, self._lease, self._owned, self._clock = schedule, lease, owned, clock
        self._lock = threading.Lock()
        self._known: dict[int, _Known] = {}
        self._counts = _Counts()

    def request(self, partition: int) -> PartitionSnapshots | None:
        """Ask for one now; what is known of the partition, None where this worker does not serve it."""
        if partition not in self._owned():
            return None
        with self._lock:
            known = self._known.setdefault(partition, _Known(PartitionSnapshots(partition), _now_ms()))
            known.due = float("-inf")
            if known.shown.phase == "idle":
                known.shown.phase = "waiting"
            shown = replace(known.shown)
        self.call(lambda: None)
        return shown

    def shown(self) -> list[PartitionSnapshots]:
        """The partitions served, ascending."""
        with self._lock:
            return [replace(known.shown) for _, known in sorted(self._known.items())]

    def reading(self) -> SnapshotReading:
        """For the metrics."""
        now = _now_ms()
        with self._lock:
            ages = [now - (known.shown.created_ms or known.since_ms) for known in self._known.values()]
            positions = {number: known.shown.position for number, known in self._known.items() if known.shown.latest}
            counts = replace(self._counts)
        return SnapshotReading(
            age_seconds=max(ages, default=0) / 1e3,
            positions=positions,
            written=counts.written,
            failures=counts.failures,
            sent_bytes=counts.sent_bytes,
            seconds=counts.seconds,
        )

    def check(self) -> CheckResult:
        """Information only: a snapshot that fails makes no worker unready."""
        ended = self.health().error
        if ended:
            return CheckResult(ok=True, detail=f"none are made any more until the worker restarts: {ended}")
        shown = self.shown()
        failing = [f"partition {one.partition}: {one.error}" for one in shown if one.error]
        if failing:
            return CheckResult(ok=True, detail=f"{len(failing)} of {len(shown)} fail; {failing[0]}")
        return CheckResult(ok=True, detail=f"{sum(one.latest is not None for one in shown)} of {len(shown)} have one")

    def close(self) -> None:
        """Make no more; an upload that is under way is given up."""
        self.abandon(CLOSE_SECONDS)

    def _turn(self) -> float:
        owned = self._owned()
        self._follow(owned)
        due = self._next_due(owned)
        if due is None:
            return LOOK_SECONDS
        self._attempt(due)
        return 0.0

    def _wake(self) -> None:
        """A command ends the rest; a running upload looks for a stop by itself."""

    def _release(self) -> None:
        """Nothing is held between two turns."""

    def _run(self) -> None:
        for left in self._schedule.directory.glob(".behaviours-*.snapshot"):
            shutil.rmtree(left, ignore_errors=True)
        super()._run()

    def _follow(self, owned: Mapping[int, bool]) -> None:
        """Forget what went to others; take up what is new with its latest snapshot, whoever made that."""
        with self._lock:
            for number in self._known.keys() - owned.keys():
                del self._known[number]
            new = owned.keys() - self._known.keys()
        for number in sorted(new):
            known = _Known(PartitionSnapshots(number), _now_ms())
            self._look(known)
            with self._lock:
                self._known.setdefault(number, known)

    def _look(self, known: _Known) -> None:
        number = known.shown.partition
        try:
            with self._lease(number) as store:
                identity = store.identity
            manifest = latest(self._location(number), identity)
        except (StateError, PartitionNotHereError) as error:
            self._failed(known, error)
            return
        if manifest is not None:
            known.shown.made(manifest, 0)
            age_seconds = (_now_ms() - manifest.created_ms) / 1e3
            known.due = self._clock() + max(0.0, self._schedule.interval_seconds - age_seconds)

    def _next_due(self, owned: Mapping[int, bool]) -> int | None:
        now = self._clock()
        with self._lock:
            due = [(known.due, number) for number, known in self._known.items() if known.due <= now and owned[number]]
        return min(due)[1] if due else None

    def _attempt(self, number: int) -> None:
        known = self._known[number]
        with self._lock:
            known.shown.phase, known.shown.done_bytes, known.shown.total_bytes = "running", 0, 0
            known.due = self._clock() + self._schedule.interval_seconds
        began = time.monotonic()
        try:
            manifest, sent = self._make(known)
        except _Stopped:
            return
        except _Empty:
            known.due = self._clock() + min(RETRY_SECONDS, self._schedule.interval_seconds)
        except Exception as error:
            self._failed(known, error)
        else:
            with self._lock:
                known.shown.made(manifest, sent)
                known.shown.error = None
                self._counts.written += 1
                self._counts.sent_bytes += sent
            log.info(
                "partition %d: snapshot %s, %d of %d bytes sent", number, manifest.name, sent, manifest.total_bytes
            )
        with self._lock:
            self._counts.seconds += time.monotonic() - began
            known.shown.attempts += 1
            known.shown.phase = "waiting" if known.due == float("-inf") else "idle"

    def _make(self, known: _Known) -> tuple[Manifest, int]:
        number = known.shown.partition
        location, checkpoint = self._location(number), self._schedule.directory / f".behaviours-{number}.snapshot"
        try:
            with self._lease(number) as store:
                identity = store.identity
                if store.position == store.start_position:
                    raise _Empty
                store.checkpoint(checkpoint)
            written = write(checkpoint, location, self._schedule.tool, advance=lambda *at: self._advance(known, *at))
        finally:
            shutil.rmtree(checkpoint, ignore_errors=True)
        try:
            prune(location, identity, self._schedule.keep)
        except StateError as error:
            log.warning("partition %d: old snapshots stay for now: %s", number, error)
        return written

    def _advance(self, known: _Known, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        known.shown.done_bytes, known.shown.total_bytes = done, total

    def _failed(self, known: _Known, error: Exception) -> None:
        log.warning("partition %d: no snapshot, trying again: %s", known.shown.partition, error)
        with self._lock:
            known.shown.error = f"{type(error).__name__}: {error}"
            known.due = self._clock() + min(RETRY_SECONDS, self._schedule.interval_seconds)
            self._counts.failures += 1

    def _location(self, partition: int) -> SnapshotLocation:
        return SnapshotLocation(self._schedule.location, self._schedule.topic, partition)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
