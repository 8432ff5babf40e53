"""One consistent view of a RocksDB: an iterator, which sees the moment it was made whatever is written later.

Invariant: an error of RocksDB raises; it never looks like the end of the data.

rocksdict 0.3.29, by experiment: iterators of a `Snapshot` read the live database, not the snapshot; an iterator does
not keep its ReadOptions alive, and without them its upper bound is freed memory; `set_iterate_lower_bound` sets the
upper bound; `items`, `keys` and `values` end quietly at a damaged block. So views are iterators without options, moved
step by step, and bounds are compared here. An iterator that lives keeps the directory locked after `close`: let go of
every cursor first.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rocksdict import Rdict, RdictIter

from muse_stream.state.errors import StoreClosedError, damaged


class Cursor:
    """A view of `db` as it is now. Not thread-safe. Use it in a `with`: a traceback may keep it alive else."""

    def __init__(self, path: Path, db: Rdict) -> None:
        self.path = path
        self._open: RdictIter | None = db.iter()

    def close(self) -> None:
        """Let go of the database."""
        self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        return self.value() if self.at_or_after(key) == key else None

    def at_or_after(self, key: bytes) -> bytes | None:
        """Move to the first key at or after `key`; that key, or None at the end."""
        self._iterator.seek(key)
        return self._key()

    def at_or_before(self, key: bytes) -> bytes | None:
        """Move to the last key at or before `key`; that key, or None at the beginning."""
        self._iterator.seek_for_prev(key)
        return self._key()

    def previous(self) -> bytes | None:
        """Move one key back; that key, or None at the beginning."""
        self._iterator.prev()
        return self._key()

    def value(self) -> bytes:
        """The value where the cursor stands."""
        value: bytes = self._iterator.value()
        return value

    def keys(self, begin: bytes, end: bytes) -> list[bytes]:
        """All keys in [begin, end), in order."""
        iterator, found = self._iterator, []
        key = self.at_or_after(begin)
        while key is not None and key < end:
            found.append(key)
            iterator.next()
            key = self._key()
        return found

    def walk(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The keys in [begin, end) with their values, one by one in key order; do not move the cursor meanwhile."""
        iterator = self._iterator
        key = self.at_or_after(begin)
        while key is not None and key < end:
            yield key, iterator.value()
            iterator.next()
            key = self._key()

    def items(self, begin: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        """All keys in [begin, end) with their values, in key order."""
        return list(self.walk(begin, end))

    def values(self, first: bytes, last: bytes) -> list[bytes]:
        """The values of the keys from `first` to `last`, both included, which must exist."""
        iterator, found = self._iterator, []
        key = self.at_or_after(first)
        while key is not None and key <= last:
            found.append(iterator.value())
            if key == last:
                break
            iterator.next()
            key = self._key()
        return found

    @property
    def _iterator(self) -> RdictIter:
        if self._open is None:
            message = f"{self.path}: this view was closed. Operator action: none; take a new one."
            raise StoreClosedError(message)
        return self._open

    def _key(self) -> bytes | None:
        iterator = self._iterator
        if iterator.valid():
            key: bytes = iterator.key()
            return key
        try:
            iterator.status()
        except Exception as error:
            raise damaged(self.path, f"RocksDB cannot read it ({error}).") from error
        return None
