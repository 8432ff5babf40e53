"""RocksDB as `state` uses it, in memory: batches that are written whole, iterators that see their moment.

Invariant: a disk holds exactly the batches that were written, in order; a power loss takes some of the last ones.
"""

import shutil
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from rocksdict import AccessType, Rdict

from muse_stream.state import database as database_module
from muse_stream.state import meta as meta_module
from muse_stream.state import store as store_module
from muse_stream.state.budget import StoreBudget
from muse_stream.state.database import IDENTITY_KEY, Database, row_files
from muse_stream.state.moment import StoreReader
from tests.simulation.fuse import Fuse

Op = tuple[bytes, bytes | None]
BUDGET = StoreBudget(block_cache_bytes=1 << 20, write_buffer_bytes=8 << 20, tail_users=3)
"""So few tails are remembered that most users are met cold now and then."""
REAL_OPEN = database_module._open


class MemoryBatch:
    """`rocksdict.WriteBatch`, readable."""

    def __init__(self, *, raw_mode: bool) -> None:
        assert raw_mode
        self.ops: list[Op] = []

    def put(self, key: bytes, value: bytes) -> None:
        self.ops.append((key, value))

    def delete(self, key: bytes) -> None:
        self.ops.append((key, None))

    def __len__(self) -> int:
        return len(self.ops)


class Disk:
    """One directory's content and how it came about."""

    def __init__(self) -> None:
        self.journal: list[list[Op]] = []
        self.keys: list[bytes] = []
        self.values: dict[bytes, bytes] = {}
        self.seen = False

    def write(self, ops: list[Op]) -> None:
        self.journal.append(ops)
        self._apply(ops)

    def lose(self, batches: int) -> None:
        """The last batches never reached the disk."""
        self.journal = self.journal[: max(0, len(self.journal) - batches)]
        self.keys, self.values = [], {}
        for ops in self.journal:
            self._apply(ops)

    def view(self) -> tuple[list[bytes], dict[bytes, bytes]]:
        """Keys in order and values, which nobody changes any more."""
        self.seen = True
        return self.keys, self.values

    def _apply(self, ops: list[Op]) -> None:
        if self.seen:
            self.keys, self.values, self.seen = list(self.keys), dict(self.values), False
        for key, value in ops:
            if value is not None:
                if key not in self.values:
                    insort(self.keys, key)
                self.values[key] = value
            elif self.values.pop(key, None) is not None:
                del self.keys[bisect_left(self.keys, key)]


class MemoryIterator:
    """`rocksdict.RdictIter`."""

    def __init__(self, disk: Disk) -> None:
        self._keys, self._values = disk.view()
        self._at = -1

    def seek(self, key: bytes) -> None:
        self._at = bisect_left(self._keys, key)

    def seek_for_prev(self, key: bytes) -> None:
        self._at = bisect_right(self._keys, key) - 1

    def next(self) -> None:
        self._at += 1

    def prev(self) -> None:
        self._at -= 1

    def valid(self) -> bool:
        return 0 <= self._at < len(self._keys)

    def status(self) -> None:
        """Never wrong."""

    def key(self) -> bytes:
        return self._keys[self._at]

    def value(self) -> bytes:
        return self._values[self._keys[self._at]]


class Handle:
    """An open database of one worker: every write passes two points at which the worker may crash.

    Attributes:
        refusals: How many writes to come are refused, as by a full disk.

    """

    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse
        self.refusals = 0

    def write(self, batch: Any) -> None:
        self.fuse.burn("before a write")
        if self.refusals:
            self.refusals -= 1
            message = "IO error: No space left on device"
            raise OSError(message)
        self.store(batch)
        self.fuse.burn("after a write")

    def store(self, batch: Any) -> None:
        raise NotImplementedError

    def iter(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class MemoryHandle(Handle):
    def __init__(self, disk: Disk, fuse: Fuse) -> None:
        super().__init__(fuse)
        self.disk = disk

    def store(self, batch: MemoryBatch) -> None:
        self.disk.write(batch.ops)

    def iter(self) -> MemoryIterator:
        return MemoryIterator(self.disk)

    def close(self) -> None:
        """Nothing to release."""


class RocksHandle(Handle):
    def __init__(self, db: Rdict, fuse: Fuse) -> None:
        super().__init__(fuse)
        self.db, self.closed = db, False

    def store(self, batch: Any) -> None:
        self.db.write(batch)

    def iter(self) -> Any:
        return self.db.iter()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.db.close()


class Disks(ABC):
    """Directories that outlive processes.

    Attributes:
        handles: The last handle of each.

    """

    def __init__(self) -> None:
        self.handles: dict[Path, Handle] = {}

    def open(self, path: Path, options: Any, fuse: Fuse) -> Handle:
        """Open one, created if it is not there."""
        self.handles[path] = self._open(path, options, fuse)
        return self.handles[path]

    @abstractmethod
    def _open(self, path: Path, options: Any, fuse: Fuse) -> Handle: ...

    @abstractmethod
    def crash(self, path: Path, lost_batches: int) -> None:
        """The process that had it open is gone, and perhaps its last writes."""

    @abstractmethod
    def reader(self, path: Path) -> StoreReader | None:
        """What it holds now; None where there is nothing."""

    @abstractmethod
    def use(self, fuse_of: Callable[[Path], Fuse]) -> AbstractContextManager[object]:
        """Make `state` open its databases here."""


class MemoryDisks(Disks):
    """Directories in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.disks: dict[Path, Disk] = {}

    def _open(self, path: Path, options: Any, fuse: Fuse) -> Handle:
        return MemoryHandle(self.disks.setdefault(path, Disk()), fuse)

    def crash(self, path: Path, lost_batches: int) -> None:
        if lost_batches and path in self.disks:
            self.disks[path].lose(lost_batches)

    def reader(self, path: Path) -> StoreReader | None:
        disk = self.disks.get(path)
        if disk is None or not disk.journal:
            return None
        handle: Any = MemoryHandle(disk, Fuse(Counter()))
        return StoreReader(Database(path, handle))

    def use(self, fuse_of: Callable[[Path], Fuse]) -> AbstractContextManager[object]:
        stack = ExitStack()
        for module in (database_module, meta_module, store_module):
            stack.enter_context(mock.patch.object(module, "WriteBatch", MemoryBatch))
        stack.enter_context(opening(self, fuse_of))
        return stack


class RocksDisks(Disks):
    """Directories of RocksDB below a root. A crash is a copy of the files as they lie; it loses no writes."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self._places: dict[Path, Path] = {}
        self._copies = 0

    def _open(self, path: Path, options: Any, fuse: Fuse) -> Handle:
        if path not in self._places:
            self._places[path] = self._next()
        return RocksHandle(Rdict(str(self._places[path]), options), fuse)

    def crash(self, path: Path, lost_batches: int) -> None:
        if path not in self._places:
            return
        before = self._places[path]
        after = self._image(before)
        self.handles[path].close()
        shutil.rmtree(before)
        self._places[path] = after

    def reader(self, path: Path) -> StoreReader | None:
        if path not in self._places:
            return None
        image = self._image(self._places[path])
        db = REAL_OPEN(image, BUDGET.options(), AccessType.read_only(False))
        if IDENTITY_KEY not in db:
            db.close()
            return None
        return StoreReader(Database(path, db))

    def use(self, fuse_of: Callable[[Path], Fuse]) -> AbstractContextManager[object]:
        return opening(self, fuse_of)

    def _image(self, place: Path) -> Path:
        """A copy of the files as they lie at one moment; RocksDB's own threads may be changing them."""
        while True:
            before, image = row_files(place), self._next()
            with suppress(shutil.Error):
                shutil.copytree(place, image)
                if row_files(place) == before:
                    return image
            shutil.rmtree(image)

    def _next(self) -> Path:
        self._copies += 1
        return self._root / str(self._copies)


def opening(disks: Disks, fuse_of: Callable[[Path], Fuse]) -> AbstractContextManager[object]:
    """Replace how `state` opens a database for writing."""

    def opened(path: Path, options: Any) -> tuple[Handle, mock.Mock]:
        return disks.open(path, options, fuse_of(path)), mock.Mock()

    return mock.patch.object(database_module, "_open_alone", opened)
