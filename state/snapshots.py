"""Snapshots of behaviours stores: written from a checkpoint, checked file by file, restored beside a target.

Invariants: nothing is restored that is not, byte for byte, what was written; a directory that holds something is never
written into. What a writer relies on is not removed meanwhile, see `snapshot_keeping.py`.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from muse_stream.state.disk import sync_directory
from muse_stream.state.errors import SnapshotDamagedError, SnapshotLocationError, SnapshotTargetError
from muse_stream.state.moment import StoreReader
from muse_stream.state.snapshot_keeping import WRITE_HOURS, latest
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshot_manifest import DIGEST_BYTES, Manifest, StoredFile

CHUNK_BYTES = 4 << 20
"""Between two looks at progress and a wish to stop; object stores take parts of 5 MB and more."""
_STORE_FILE = re.compile(r"CURRENT|MANIFEST-\d+|OPTIONS-\d+|\d+\.(log|sst)|rocksdict-config\.json")

Advance = Callable[[int, int], None]
"""Told of bytes done and of bytes to do; what it raises ends the work."""


def _quiet(done: int, total: int) -> None:
    """Nobody asks."""


def write(
    checkpoint: Path, location: SnapshotLocation, tool: str, *, advance: Advance = _quiet, now_ms: int | None = None
) -> tuple[Manifest, int]:
    """Make a snapshot of the closed store, or checkpoint of one, in `checkpoint`.

    Args:
        checkpoint: Is read only.
        location: Where to.
        tool: Version of the program.
        advance: Told of progress.
        now_ms: The wall clock; None: the system's.

    Returns:
        The manifest, and the bytes that were sent: the others were there.

    Raises:
        StoreOpenError: There is no readable store.
        SnapshotError: The location refused, or it took longer than `WRITE_HOURS`.

    """
    created_ms, began = now_ms or time.time_ns() // 1_000_000, time.monotonic()
    with closing(StoreReader.open(checkpoint)) as store:
        former = latest(location, store.identity)
        there = {file.digest: file.bytes for file in former.files} if former else {}
        sending = _Sending(checkpoint, location, there, advance)
        manifest = Manifest.of(store, sending.everything(), created_ms, tool)
    if time.monotonic() - began > WRITE_HOURS * 3600:
        found = f"the copy took more than {WRITE_HOURS} hours, and what it relies on may be gone."
        raise SnapshotLocationError(location.url, found, "use a faster line, or more partitions.")
    _require_files(manifest, location)
    location.publish(manifest)
    return manifest, sending.sent_bytes


def verify(manifest: Manifest, location: SnapshotLocation, advance: Advance = _quiet) -> None:
    """Read every file of a snapshot and compare it with its checksum.

    Raises:
        SnapshotError: A file is missing, or is not what was written.

    """
    done = 0
    for file in manifest.files:
        with location.reading(file.digest) as source:
            for more in _checked(source, file, location.url):
                done += len(more)
                advance(done, manifest.total_bytes)


def fetch(manifest: Manifest, location: SnapshotLocation, into: Path, advance: Advance = _quiet) -> None:
    """Restore a snapshot as the store `into`, which must not exist or be an empty directory.

    The files arrive in a directory beside it, are checked, and are opened once for reading; then it is renamed. What an
    attempt that was killed left there goes first.

    Raises:
        SnapshotTargetError: `into` holds something, or somebody else restores it at this moment.
        SnapshotError: A file is missing, or is not what was written.
        StoreOpenError: What was written is no readable store.

    """
    _require_free(into)
    into.parent.mkdir(parents=True, exist_ok=True)
    with _own_directory(into.parent / f".{into.name}.restoring") as arriving:
        done = 0
        for file in manifest.files:
            with location.reading(file.digest) as source, (arriving / file.name).open("xb") as target:
                for more in _checked(source, file, location.url):
                    target.write(more)
                    done += len(more)
                    advance(done, manifest.total_bytes)
                target.flush()
                os.fsync(target.fileno())
        _require_same(arriving, manifest)
        sync_directory(arriving)
        _rename(arriving, into)


class _Sending:
    """The files of one store on their way."""

    def __init__(self, checkpoint: Path, location: SnapshotLocation, there: dict[str, int], advance: Advance) -> None:
        self.sent_bytes = 0
        self._location, self._there, self._advance = location, there, advance
        self._paths = sorted(path for path in checkpoint.iterdir() if _STORE_FILE.fullmatch(path.name))
        self._total = sum(path.stat().st_size for path in self._paths)
        self._done = 0

    def everything(self) -> tuple[StoredFile, ...]:
        """Send what is not there."""
        return tuple(self._one(path) for path in self._paths)

    def _one(self, path: Path) -> StoredFile:
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()
        file = StoredFile(path.name, path.stat().st_size, digest)
        before = self._done
        if self._there.get(digest) != file.bytes:
            with path.open("rb") as source, self._location.writing(digest) as target:
                for more in _checked(source, file, path):
                    target.write(more)
                    self._done += len(more)
                    self._advance(self._done, self._total)
            self._there[digest] = file.bytes
            self.sent_bytes += file.bytes
        self._done = before + file.bytes
        self._advance(self._done, self._total)
        return file


def _checked(source: IO[bytes], file: StoredFile, where: object) -> Iterator[bytes]:
    """The content in pieces; raises at its end where it is not what its checksum says."""
    digest, size = hashlib.blake2b(digest_size=DIGEST_BYTES), 0
    while more := source.read(CHUNK_BYTES):
        digest.update(more)
        size += len(more)
        yield more
    if (size, digest.hexdigest()) != (file.bytes, file.digest):
        found = f"{file.name} has {size} bytes and the checksum {digest.hexdigest()}, expected {file.bytes} bytes and "
        raise SnapshotDamagedError(where, f"{found}{file.digest}.", "use another snapshot; look at that storage.")


def _require_files(manifest: Manifest, location: SnapshotLocation) -> None:
    sizes = location.files()
    missing = [file for file in manifest.files if sizes.get(file.digest) != file.bytes]
    if missing:
        found = (
            f"{len(missing)} of {len(manifest.files)} files are not there after they were sent: {missing[0].digest}."
        )
        raise SnapshotLocationError(location.url, found, "look whether something else removes files there.")


def _require_free(into: Path) -> None:
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        found = "there is something, and a store is never overwritten."
        raise SnapshotTargetError(into, found, "stop the worker and move this directory away, then restore again.")


def _require_same(path: Path, manifest: Manifest) -> None:
    """Open the store once; its own account must be the manifest's."""
    with closing(StoreReader.open(path)) as store:
        found = Manifest.of(store, manifest.files, manifest.created_ms, manifest.tool)
    if found != manifest:
        text = f"the store says {_account(found)}, its manifest {_account(manifest)}."
        raise SnapshotDamagedError(
            path, text, "use another snapshot, and report this: the files are as they were written."
        )


def _account(manifest: Manifest) -> str:
    return f"{manifest.identity} at {manifest.position}/{manifest.users_position}, rules {list(manifest.rules)}"


@contextmanager
def _own_directory(path: Path) -> Iterator[Path]:
    """An empty directory that nobody else uses meanwhile; gone afterwards, where it still has that name."""
    path.mkdir(exist_ok=True)
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.stat(path).st_ino == os.fstat(handle).st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            found = "somebody else restores this store at this moment."
            raise SnapshotTargetError(path, found, "wait for it to end, then look at the store.")
        for left in path.iterdir():
            left.unlink()
        try:
            yield path
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
    finally:
        os.close(handle)


def _rename(arrived: Path, into: Path) -> None:
    try:
        arrived.rename(into)
    except OSError:
        _require_free(into)
        raise
    sync_directory(into.parent)
