"""What ingest tells of histories, told to every engine that is open: one per vector space in use.

Invariant: who was added before a user was loaded into it hears of every behaviour and every erasure that this load did
not see. For a store is written before the engines are told, and the engines told are those open at that moment: a load
that came earlier is told, a load that comes later reads it from the store.
"""

import threading

from muse_stream.streams.ingest.ports import I64, HistorySink


class HistoryFan:
    """A `HistorySink` made of several. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sinks: tuple[HistorySink, ...] = ()

    def add(self, sink: HistorySink) -> None:
        """Tell this one too, from now on; nobody may be loaded into it before."""
        with self._lock:
            self._sinks = (*self._sinks, sink)

    def remove(self, sink: HistorySink) -> None:
        """Tell this one no more; what is under way may still reach it."""
        with self._lock:
            self._sinks = tuple(one for one in self._sinks if one is not sink)

    def append(self, users: I64, starts: I64, bounds: I64, items: I64) -> None:
        """Add new behaviours to resident users, everywhere."""
        for sink in self._sinks:
            sink.append(users, starts, bounds, items)

    def drop(self, users: I64) -> None:
        """Forget erased users, everywhere."""
        for sink in self._sinks:
            sink.drop(users)
