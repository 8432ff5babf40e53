"""The open stores, lent to readers by lease.

Invariant: a store is closed only when nobody holds it and nobody can get hold of it any more: `retire` makes it
unavailable at once and never waits for readers; whoever gives back the last lease closes it. A partition that comes
back before that gets the same store again, since a directory can be open only once.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from muse_stream.streams.errors import PartitionNotHereError


class Closable(Protocol):
    """Something with a directory to release."""

    def close(self) -> None:
        """Release it."""


S = TypeVar("S", bound=Closable)


@dataclass(slots=True)
class _Entry(Generic[S]):
    store: S
    readers: int = 0
    retired: bool = False
    broken: bool = False
    closing: bool = False


class StoreMap(Generic[S]):
    """Partition -> open store. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: dict[int, _Entry[S]] = {}

    def open(self, partition: int, opener: Callable[[], S]) -> S:
        """Return the partition's store, opened now or, where readers still hold it, taken back from retirement.

        Called from one thread only; what `opener` raises goes through and changes nothing.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_leaving(partition))
            entry = self._entries.get(partition)
            if entry is not None:
                entry.retired = False
                return entry.store
        store = opener()
        with self._changed:
            self._entries[partition] = _Entry(store)
        return store

    def retire(self, partition: int, *, broken: bool = False) -> None:
        """Refuse new leases; the store closes as soon as the last reader has left (now, if there is none).

        A `broken` one is not taken back from retirement: `open` waits for it to close and opens the directory anew.
        """
        with self._changed:
            entry = self._entries.get(partition)
            if entry is not None:
                entry.retired, entry.broken = True, broken
        self._close_if_left(partition)

    @contextmanager
    def lease(self, partition: int) -> Iterator[S]:
        """Hold the store open for the length of a `with` block.

        Raises:
            PartitionNotHereError: this worker has no open store of that partition.

        """
        entry = self._enter(partition)
        try:
            yield entry.store
        finally:
            with self._changed:
                entry.readers -= 1
            self._close_if_left(partition)

    def partitions(self) -> list[int]:
        """Partitions that can be leased now, ascending."""
        with self._changed:
            return self._available()

    def holds(self, partition: int) -> bool:
        """Whether the directory of a partition is in use here, also by readers of a store that was given up."""
        with self._changed:
            return partition in self._entries

    def _available(self) -> list[int]:
        return sorted(number for number, entry in self._entries.items() if not entry.retired)

    def _is_leaving(self, partition: int) -> bool:
        entry = self._entries.get(partition)
        return entry is not None and (entry.closing or entry.broken)

    def _enter(self, partition: int) -> _Entry[S]:
        with self._changed:
            entry = self._entries.get(partition)
            if entry is None or entry.retired:
                raise PartitionNotHereError(partition, self._available())
            entry.readers += 1
            return entry

    def _close_if_left(self, partition: int) -> None:
        with self._changed:
            entry = self._entries.get(partition)
            if entry is None or not entry.retired or entry.readers or entry.closing:
                return
            entry.closing = True
        try:
            entry.store.close()
        finally:
            with self._changed:
                del self._entries[partition]
                self._changed.notify_all()
