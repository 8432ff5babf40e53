"""Copies of partitions that this worker does not own any more: how much they take, and when they go.

A copy is worth keeping for a while: a partition that comes back then reads only what came since. After a week it is as
far behind as the topics promise to replay, and a copy that nobody will ever want again takes the disk of those in use.

Invariants: what is open, assigned, or no behaviours store of this installation is never touched. A copy is renamed
before anything of it is deleted, in the one thread that opens stores and holding the store's own lock: an assignment
finds the whole copy or none. What a crash leaves has a name that nobody opens and goes with the next look.
"""

import logging
import re
import shutil
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from muse_stream.monitoring import StaleReading
from muse_stream.state.disk import sync_directory
from muse_stream.state.errors import StateError, StoreLockedError
from muse_stream.state.locks import WriterLock
from muse_stream.state.moment import StoreReader
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.service import IngestService

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""Between two looks; a look asks for the size of some hundred files."""
CLOSE_SECONDS = 5.0
"""The thread is a daemon; a deletion that is cut off is finished after the next start."""
ANSWER_SECONDS = 60.0
"""For the ingest thread to come round; it does after each batch."""
_COPY = re.compile(r"behaviours-(\d+)")
_DROPPED = ".behaviours-*.dropped"


@dataclass(frozen=True, slots=True)
class Copy:
    """A store directory that is not in use.

    Attributes:
        path: The directory.
        partition: Its partition.
        size_bytes: Size of its files.
        last_open: When one of its files was last written, as Unix time: RocksDB writes its log at every opening and
            closing and every ten minutes between, so this also holds for a worker that was killed.

    """

    path: Path
    partition: int
    size_bytes: int
    last_open: float


class StaleCopies(LoopThread):
    """Looks now and then, in a thread of its own; `reading` from any."""

    def __init__(
        self,
        directory: Path,
        topic: str,
        ingest: IngestService,
        *,
        hours: float | None,
        settled: Callable[[], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; `start` begins to look.

        Args:
            directory: Where the stores are.
            topic: The behaviours topic: stores of another one are somebody else's.
            ingest: Knows what is assigned and open.
            hours: Copies that were last open so long ago go; None: none ever does.
            settled: Whether this worker has its assignment. Before that, nothing goes: most of what lies there is about
                to be opened.
            now: Unix time.

        """
        super().__init__("stale-copies")
        self._directory, self._topic, self._ingest = directory, topic, ingest
        self._hours, self._settled, self._now = hours, settled, now
        self._count = self._bytes = self._dropped = 0

    def reading(self) -> StaleReading:
        """What was found by the last look."""
        return StaleReading(self._count, self._bytes, self._dropped)

    def close(self) -> None:
        """Look no more."""
        self.abandon(CLOSE_SECONDS)

    def look(self) -> None:
        """Finish what a crash cut off, count the copies that are not in use, and drop those that are old enough."""
        for left in self._directory.glob(_DROPPED):
            shutil.rmtree(left, ignore_errors=True)
        copies = list(self._unused())
        settled = self._settled()
        gone = [copy for copy in copies if settled and self._is_old(copy) and self._drop(copy)]
        kept = [copy for copy in copies if copy not in gone]
        self._count, self._bytes = len(kept), sum(copy.size_bytes for copy in kept)

    def _turn(self) -> float:
        try:
            self.look()
        except OSError as error:
            log.warning("stale copies could not be looked at, trying again: %s", error)
        return LOOK_SECONDS

    def _unused(self) -> list[Copy]:
        found = []
        for path in sorted(self._directory.iterdir()):
            name = _COPY.fullmatch(path.name)
            if name is None or path.is_symlink() or not (path / "CURRENT").is_file() or self._in_use(int(name[1])):
                continue
            with suppress(FileNotFoundError):
                files = [file.stat() for file in path.iterdir()]
                size, last = sum(file.st_size for file in files), max(file.st_mtime for file in files)
                found.append(Copy(path, int(name[1]), size, last))
        return found

    def _in_use(self, partition: int) -> bool:
        return partition in self._ingest.states() or self._ingest.stores.holds(partition)

    def _is_old(self, copy: Copy) -> bool:
        return bool(self._hours) and self._now() - copy.last_open > float(self._hours or 0) * 3600

    def _drop(self, copy: Copy) -> bool:
        """Drop one copy; False where it stays."""
        if not self._is_ours(copy):
            return False
        aside = copy.path.parent / f".{copy.path.name}.dropped"
        if not self._ingest.call(lambda: self._rename(copy, aside)).result(ANSWER_SECONDS):
            return False
        shutil.rmtree(aside, ignore_errors=True)
        self._dropped += 1
        hours = (self._now() - copy.last_open) / 3600
        text = "partition %d: dropped a copy of %d bytes that was last open %.0f hours ago (state.stale_copy_hours)"
        log.info(text, copy.partition, copy.size_bytes, hours)
        return True

    def _is_ours(self, copy: Copy) -> bool:
        try:
            with closing(StoreReader.open(copy.path)) as reader:
                identity = reader.identity
        except StateError as error:
            log.debug("%s stays: it cannot be read: %s", copy.path, error)
            return False
        return (identity.topic, identity.partition) == (self._topic, copy.partition)

    def _rename(self, copy: Copy, aside: Path) -> bool:
        """In the ingest thread, which alone opens stores: put the copy out of reach, unless it is in use by now."""
        if self._in_use(copy.partition):
            return False
        try:
            lock = WriterLock.take(copy.path)
        except (StoreLockedError, OSError) as error:
            log.debug("%s stays: %s", copy.path, error)
            return False
        try:
            copy.path.rename(aside)
            sync_directory(copy.path.parent)
        except OSError as error:
            log.warning("%s stays: %s", copy.path, error)
            return aside.exists() and not copy.path.exists()
        finally:
            lock.release()
        return True

    def _wake(self) -> None:
        """The command itself ends the rest."""

    def _release(self) -> None:
        """Nothing is held."""
