"""A snapshot in place of a store that is not there, or that the log cannot continue any more.

Invariants: what is in the way is put aside, never written into, and removed only when a checked store that reaches
further has taken its place; otherwise it is put back. The ingest thread never waits for any of this.

What is put aside is called `.behaviours-3.behind`. A worker that was killed meanwhile finds it when it starts.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path

from muse_stream.state.errors import SnapshotError, StoreLockedError
from muse_stream.state.locks import WriterLock
from muse_stream.state.rules import StoreIdentity
from muse_stream.state.snapshot_keeping import fitting
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshot_manifest import Manifest
from muse_stream.state.snapshots import fetch
from muse_stream.streams.errors import IngestStoppedError
from muse_stream.streams.ingest.ports import LogBounds

log = logging.getLogger(__name__)

AT_A_TIME = 2
"""Restores that run at once: one keeps a disk or a line busy, two hide each other's pauses."""
RELEASE_SECONDS = 30.0
"""Readers of a store that is being replaced leave within a request's time."""
LOOK_SECONDS = 0.05

Ended = Callable[[str, float], None]
"""Told of an attempt: its `Outcome`, and the seconds that it took."""


class Outcome(StrEnum):
    """How an attempt ended; a closed set, for a metric's label."""

    RESTORED = "restored"
    NONE_FITS = "none_fits"
    FAILED = "failed"


class Restorer:
    """Restores stores of one data directory, each in a thread of its own; ingest's `Restores`."""

    def __init__(
        self,
        location: str,
        directory: Path,
        identity: Callable[[int], StoreIdentity],
        ended: Ended = lambda outcome, seconds: None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            location: Of all snapshots.
            directory: Where the stores are.
            identity: What the store of a partition is built from.
            ended: Told how each attempt ended, in the thread of the attempt.

        """
        self._location, self._directory, self._identity, self._ended = location, directory, identity, ended
        self._slots = threading.Semaphore(AT_A_TIME)
        self._stop = threading.Event()
        self._running: dict[int, Future[bool]] = {}
        self._progress: dict[int, tuple[int, int]] = {}
        _recover(directory)

    def missing(self, partition: int) -> bool:
        """Whether there is no store of the partition."""
        return not self._path(partition).exists()

    def start(self, partition: int, bounds: LogBounds) -> "Future[bool]":
        """Restore the furthest snapshot that a log with these bounds continues; True once it is in its place.

        False: there is none that can be used; everything is as before, and the log of the worker says why. While one is
        under way for a partition, that one is returned. Called from one thread.
        """
        under_way = self._running.get(partition)
        if under_way is not None and not under_way.done():
            return under_way
        done = self._running[partition] = Future()
        work = partial(self._run, partition, bounds, done)
        threading.Thread(target=work, name=f"restore-{partition}", daemon=True).start()
        return done

    def progress(self) -> dict[int, tuple[int, int]]:
        """Bytes done and bytes to do of every partition that is on its way; any thread."""
        return dict(self._progress)

    def close(self) -> None:
        """Begin nothing more; what is under way gives up at its next piece and leaves nothing to open."""
        self._stop.set()

    def _run(self, partition: int, bounds: LogBounds, done: "Future[bool]") -> None:
        began, outcome = time.monotonic(), Outcome.FAILED
        try:
            with self._slots:
                outcome = self._restore(partition, bounds)
        except Exception as error:
            log.warning("partition %d: no snapshot was restored: %s", partition, error)
        self._progress.pop(partition, None)
        self._ended(outcome, time.monotonic() - began)
        done.set_result(outcome is Outcome.RESTORED)

    def _restore(self, partition: int, bounds: LogBounds) -> Outcome:
        identity = self._identity(partition)
        location = SnapshotLocation(self._location, identity.topic, partition)
        into = self._path(partition)
        outcome = Outcome.NONE_FITS
        for manifest in fitting(location, identity, bounds.begin, bounds.end):
            try:
                with _out_of_the_way(into, self._stop):
                    log.info("partition %d: restoring snapshot %s", partition, manifest.name)
                    fetch(manifest, location, into, partial(self._advance, partition))
            except SnapshotError as error:
                log.warning("partition %d: snapshot %s cannot be used: %s", partition, manifest.name, error)
                outcome = Outcome.FAILED
                continue
            _told(partition, manifest)
            return Outcome.RESTORED
        log.info("partition %d: no snapshot fits a log from %d to %d", partition, bounds.begin, bounds.end)
        return outcome

    def _advance(self, partition: int, done: int, total: int) -> None:
        self._progress[partition] = done, total
        if self._stop.is_set():
            message = f"the worker stops; {done} of {total} bytes were restored. Operator action: none."
            raise IngestStoppedError(message)

    def _path(self, partition: int) -> Path:
        return self._directory / f"behaviours-{partition}"


@contextmanager
def _out_of_the_way(into: Path, stop: threading.Event) -> Iterator[None]:
    """What is in the place of `into` is put aside, and back if the block fails."""
    if not into.exists():
        yield
        shutil.rmtree(_aside(into), ignore_errors=True)
        return
    aside = _aside(into)
    lock = _take(into, stop)
    try:
        into.rename(aside)
    finally:
        lock.release()
    try:
        yield
    except BaseException:
        aside.rename(into)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _take(into: Path, stop: threading.Event) -> WriterLock:
    """The lock of a store that its readers are about to leave."""
    for _ in range(int(RELEASE_SECONDS / LOOK_SECONDS)):
        try:
            return WriterLock.take(into)
        except StoreLockedError:
            if stop.wait(LOOK_SECONDS):
                raise
    return WriterLock.take(into)


def _recover(directory: Path) -> None:
    """Finish what a killed worker had begun: what it put aside goes if its place is taken, and back if not."""
    for aside in directory.glob(".behaviours-*.behind"):
        into = directory / aside.name.removeprefix(".").removesuffix(".behind")
        if into.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(into)


def _aside(into: Path) -> Path:
    return into.parent / f".{into.name}.behind"


def _told(partition: int, manifest: Manifest) -> None:
    log.warning(
        "partition %d: snapshot %s was restored, %d bytes; the log is read on from %d",
        *(partition, manifest.name, manifest.total_bytes, manifest.position),
    )
