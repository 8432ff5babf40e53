"""One RocksDB directory with an owner's label: opening it, refusing a wrong one, and closing it without leftovers.

Invariants: after `close` returns, no cursor of this room holds the directory's lock; before RocksDB opens a directory
for writing, it is ours alone (`locks.py`) and its write-ahead logs are one unbroken run (`mending.py`).

Labels are meta keys (space 00): `layout` names kind and version of the content ("behaviours/1"), `identity` the log it
was built from. Both are written by the first open, in one batch, and compared by each later one. A topic id that the
first did not know is added by the one that does.
"""

import logging
import re
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

from rocksdict import AccessType, Options, Rdict, WriteBatch

from muse_stream.state import errors
from muse_stream.state.cursor import Cursor
from muse_stream.state.keys import META
from muse_stream.state.locks import WriterLock
from muse_stream.state.mending import mend, require_unbroken
from muse_stream.state.rules import StoreIdentity

log = logging.getLogger(__name__)

LAYOUT_KEY = META + b"layout"
IDENTITY_KEY = META + b"identity"

# What RocksDB and rocksdict leave behind when a process dies while it creates a store.
_ROCKSDB_FILE = re.compile(
    r"(LOG.*|LOCK|WRITER|IDENTITY|MANIFEST-\d+|OPTIONS-\d+.*|\d+\.(log|sst|dbtmp)|rocksdict-config\.json)"
)


# How RocksDB quotes the system (strerror) where the disk, not the store, is the trouble.
_DISK_REFUSALS = (
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Permission denied",
    "Too many open files",
    "Input/output error",
)

# A worker changes its files every few seconds at most; an opening takes a fraction of one.
_OPENINGS = 20
_OPENING_PAUSE_SECONDS = 0.2

# The largest batch of a reader that catches up is written in less; what takes longer waits for RocksDB, which is behind
# with flushing or merging files, or for the disk.
_WRITE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Condition:
    """How RocksDB copes with a directory; counts are since it was opened.

    Attributes:
        write_seconds: Time of all writes. A write holds the interpreter: nothing else runs meanwhile.
        stall_seconds: Time that writes took beyond 0.25 s each.
        delayed: Whether RocksDB slows writes down, or stops them, at this moment.
        pending_compaction_bytes: What it estimates that it has still to merge.
        background_errors: Flushes and merges that failed.

    """

    write_seconds: float
    stall_seconds: float
    delayed: bool
    pending_compaction_bytes: int
    background_errors: int


class Gate:
    """Counts the calls inside RocksDB, so that close can wait for them; `with gate:` raises once it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._changed:
            if self._closed:
                message = f"{self._path}: the store was closed. Operator action: none; open it again to use it."
                raise errors.StoreClosedError(message)
            self._inside += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._inside -= 1
            if self._inside == 0:
                self._changed.notify_all()

    def shut(self) -> bool:
        """Refuse new calls, wait for those inside; False if it was shut already."""
        with self._changed:
            first = not self._closed
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)
        return first


class Holder(Protocol):
    """Something that holds a cursor until it is closed."""

    def close(self) -> None:
        """Let go of it."""


class Database:
    """An open store directory.

    Attributes:
        path: The directory.
        db: The RocksDB handle; use it inside `with gate:` only.
        gate: Guards every use of `db`.
        identity: The log it is built from, as the label says; None after `read_only`.

    """

    def __init__(self, path: Path, db: Rdict, lock: WriterLock | None = None) -> None:
        self.path = path
        self.db = db
        self.gate = Gate(path)
        self._lock = lock
        self._write_seconds = self._stall_seconds = 0.0
        self.identity: StoreIdentity | None = None

    @classmethod
    def open(
        cls, path: Path, layout: str, identity: StoreIdentity, options: Options, older: Collection[str] = ()
    ) -> "Database":
        """Open or create the store of `identity` in `path`, for this object alone.

        A store of one of the `older` layouts is opened too: the caller converts it.

        Raises:
            StoreOpenError: One of its kinds, when the directory cannot be used; the directory is left as it was.

        """
        opened = cls(path, *_open_alone(path, options))
        try:
            opened.identity = opened._label(layout, identity, older)
        except BaseException:
            opened.close()
            raise
        return opened

    @classmethod
    def read_only(cls, path: Path, layout: str, options: Options, older: Collection[str] = ()) -> "Database":
        """Open what `path` held at this moment, also beside a worker that writes it.

        A store of one of the `older` layouts, which opening for writing converts, is refused with that advice.

        RocksDB opens for reading file by file. A worker that flushes meanwhile removes a log whose rows are then in
        none of the files that were opened, and nothing says so: hence the files must be the same before and after.

        Raises:
            StoreOpenError: One of its kinds, when there is no readable store of this layout, or it never stood still.

        """
        if not (path / "CURRENT").is_file():
            raise errors.NotAStoreError(path, "there is no store here.", "check the data directory and the partition.")
        for _ in range(_OPENINGS):
            before = row_files(path)
            try:
                require_unbroken(path)
                opened = cls(path, _open(path, options, AccessType.read_only(False)))
            except errors.DamagedStoreError:
                if row_files(path) == before:
                    raise
            except OSError as error:
                if row_files(path) == before:
                    raise _disk_error(path, str(error)) from error
            else:
                if row_files(path) == before:
                    return opened._checked(layout, older)
                opened.close()
            time.sleep(_OPENING_PAUSE_SECONDS)
        found = f"its files changed during each of {_OPENINGS} openings."
        raise errors.DamagedStoreError(path, found, "try again, or stop the worker that writes it.")

    def cursor(self) -> Cursor:
        """A view of now; make and use it inside `with gate:`."""
        return Cursor(self.path, self.db)

    def close(self, holders: Iterable["Holder"] = ()) -> None:
        """Wait for the calls inside, close the holders of cursors, then the database; twice does nothing."""
        if self.gate.shut():
            for holder in holders:
                holder.close()
            try:
                self.db.close()
            except Exception as error:
                log.warning("%s: closed without its last flush, which is in the write-ahead log: %s", self.path, error)
            finally:
                del self.db  # rocksdict lets go of the directory only with the object when closing fails
                if self._lock:
                    self._lock.release()

    def write(self, out: WriteBatch) -> None:
        """Write all of `out` or nothing; use it inside `with gate:`.

        Raises:
            StoreWriteError: RocksDB refused. Close the store and open it again: it takes no further write.
            DamagedStoreError: What it met in the background, while it merged files, is damaged.

        """
        began = time.perf_counter()
        try:
            self.db.write(out)
        except Exception as error:
            if "Corruption" in str(error):
                raise errors.damaged(self.path, f"RocksDB refused a write ({error}).") from error
            found = f"{self.path}: RocksDB refused a write ({error}); the store holds what it held before."
            message = f"{found} Operator action: look at disk space, permissions and health."
            raise errors.StoreWriteError(message) from error
        finally:
            seconds = time.perf_counter() - began
            self._write_seconds += seconds
            self._stall_seconds += max(0.0, seconds - _WRITE_SECONDS)

    def number(self, name: str) -> int:
        """A figure of RocksDB, 0 where it has none; use it inside `with gate:`."""
        return int(self.db.property_int_value(f"rocksdb.{name}") or 0)

    def condition(self) -> Condition:
        """How RocksDB copes now; use it inside `with gate:`."""
        return Condition(
            write_seconds=self._write_seconds,
            stall_seconds=self._stall_seconds,
            delayed=bool(self.number("is-write-stopped") or self.number("actual-delayed-write-rate")),
            pending_compaction_bytes=self.number("estimate-pending-compaction-bytes"),
            background_errors=self.number("background-errors"),
        )

    def _checked(self, layout: str, older: Collection[str]) -> "Database":
        """This, if it has that layout; else it is closed."""
        try:
            with self.cursor() as cursor:
                found = cursor.get(LAYOUT_KEY)
            if found is not None and found.decode(errors="replace") in older:
                seen = f"layout {found.decode()!r}, expected {layout!r}."
                action = "let a worker of this version open it once: that converts it in place."
                raise errors.UnknownLayoutError(self.path, seen, action)
            _check_layout(self.path, found, (layout,))
        except BaseException:
            self.close()
            raise
        return self

    def _label(self, layout: str, identity: StoreIdentity, older: Collection[str]) -> StoreIdentity:
        """Label an empty directory, or compare the labels of another; returns all that is known of its log."""
        with self.cursor() as cursor:
            found, raw = cursor.get(LAYOUT_KEY), cursor.get(IDENTITY_KEY)
            empty = cursor.at_or_after(b"") is None
        if empty:
            labels = WriteBatch(raw_mode=True)
            labels.put(LAYOUT_KEY, layout.encode())
            labels.put(IDENTITY_KEY, identity.to_bytes())
            self.write(labels)
            return identity
        _check_layout(self.path, found, (layout, *older))
        stored = StoreIdentity.from_bytes(raw or b"{}")
        agreed = stored.agreed(identity)
        if agreed is None:
            raise errors.IdentityError(self.path, *_contradiction(stored, identity))
        if agreed != stored:
            added = WriteBatch(raw_mode=True)
            added.put(IDENTITY_KEY, agreed.to_bytes())
            self.write(added)
        return agreed


def row_files(path: Path) -> set[tuple[str, int]]:
    """Names of a store's files that hold rows, and of the one that lists them with its size: a change shows here."""
    found = {(entry.name, 0) for pattern in ("*.sst", "*.log") for entry in path.glob(pattern)}
    for entry in path.glob("MANIFEST-*"):
        with suppress(FileNotFoundError):
            found.add((entry.name, entry.stat().st_size))
    return found


def _open_alone(path: Path, options: Options) -> tuple[Rdict, WriterLock]:
    """Lock, mend and open."""
    lock = None
    try:
        _require_store_or_nothing(path)
        lock = WriterLock.take(path)
        if (path / "CURRENT").exists():
            mend(path)
        return _open(path, options, AccessType.read_write()), lock
    except BaseException as error:
        if lock:
            lock.release()
        if isinstance(error, OSError):
            raise _disk_error(path, str(error)) from error
        raise


def _disk_error(path: Path, text: str) -> errors.StoreDiskError:
    action = "make space, or make the directory writable; the worker tries again by itself."
    return errors.StoreDiskError(path, f"the disk refuses it ({text}).", action)


def _open(path: Path, options: Options, access: AccessType) -> Rdict:
    try:
        return Rdict(str(path), options, access_type=access)
    except Exception as error:
        text = str(error)
        if "LOCK" in text and ("lock" in text.lower().replace("/lock", "")):
            action = "stop the other process (or close the other store object) that uses this directory."
            raise errors.StoreLockedError(path, f"it is open elsewhere ({text}).", action) from error
        if any(refusal in text for refusal in _DISK_REFUSALS):
            raise _disk_error(path, text) from error
        raise errors.damaged(path, f"RocksDB cannot open it ({text}).") from error


def _require_store_or_nothing(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise errors.NotAStoreError(path, "a file, expected a directory.", "choose another data directory.")
    if not path.exists() or (path / "CURRENT").exists():
        return
    if any(path.glob("*.sst")) or any(file.stat().st_size for file in path.glob("*.log")):
        raise errors.damaged(path, "CURRENT is missing, which names the list of its files.")
    strangers = sorted(entry.name for entry in path.iterdir() if not _ROCKSDB_FILE.fullmatch(entry.name))
    if strangers:
        found = f"the directory holds {', '.join(strangers[:3])} and no store."
        raise errors.NotAStoreError(path, found, "choose an empty or a new directory for the store.")


def _contradiction(stored: StoreIdentity, wanted: StoreIdentity) -> tuple[str, str]:
    """What was found and what to do."""
    same_name = replace(stored, topic_id=wanted.topic_id, users_topic_id=wanted.users_topic_id) == wanted
    if same_name:
        found = f"the topic was deleted and created again: the store was built from {stored}, the cluster has {wanted}."
        action = "move the store away to build a new one from the new topic; its old log is gone."
        return found, action
    found = f"the store was built from {stored}, expected {wanted}."
    return found, "point the data directory at this cluster and topic, or move the store away to build a new one."


def _check_layout(path: Path, found: bytes | None, layouts: tuple[str, ...]) -> None:
    if found is None:
        action = "choose another directory; nothing was changed in this one."
        raise errors.NotAStoreError(path, "a RocksDB that carries no layout label.", action)
    if found not in [layout.encode() for layout in layouts]:
        seen = f"layout {found.decode(errors='replace')!r}, expected {layouts[0]!r}."
        action = "run the version that wrote it, or move the directory away and replay the log."
        raise errors.UnknownLayoutError(path, seen, action)
