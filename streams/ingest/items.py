"""The item reader: the items topic, read whole by every worker, into item store, vector tables and catalogue.

Invariants: tables and catalogue hold what the item store holds, which is what the log says up to `version`; they are
changed only after the store's write. The worker that serves partition 0 of behaviours, and no other, dead-letters the
rejects.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.feeds import Decoded, Feed, Written
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.opening import check_bounds
from muse_stream.streams.ingest.ports import (
    DeadLetterSink,
    Decode,
    ItemLog,
    LogBounds,
    LogReader,
    TopicPartition,
    VectorSink,
)
from muse_stream.streams.ingest.pump import Clock, Pump, PumpHooks
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats, PartitionState, Phase
from muse_stream.streams.records import RecordBatch

log = logging.getLogger(__name__)

BROKER_PAUSE_SECONDS = 0.5
"""Between two questions to a broker that does not answer."""
ITEMS_PARTITION = 0
"""The topic has one partition, so that its offset is the table's version."""


class ItemFeed(Feed):
    """Items into the store, then into the tables and the catalogue."""

    def __init__(
        self, store: ItemLog, tables: Mapping[str, VectorSink], catalogue: Catalogue, decode: Decode[Any]
    ) -> None:
        self._store, self._tables, self._catalogue, self._decode = store, tables, catalogue, decode

    @property
    def position(self) -> int:
        """Next items offset that the store wants."""
        return self._store.position

    def decode(self, records: RecordBatch) -> Decoded:
        """Decode to columns; see `streams.wire`."""
        return Decoded(*self._decode(records))

    def write(self, rows: Any, position: int) -> Written:  # noqa: ANN401 - state's own batch
        """Store, then apply."""
        started = time.perf_counter()
        self._store.append(rows, position=position)
        stored = time.perf_counter()
        self.apply(rows)
        applied = time.perf_counter()
        count = len(rows.item)
        return Written(count, count, store_seconds=stored - started, engine_seconds=applied - stored)

    def load(self) -> int:
        """Bring tables and catalogue to what the store holds; returns the items."""
        count = 0
        for batch in self._store.load():
            self.apply(batch)
            count += len(batch.item)
        return count

    def apply(self, rows: Any) -> None:  # noqa: ANN401 - state's own batch
        """Put a batch into tables and catalogue; rows in log order, so the last row of an item counts."""
        last = _last_of_each(rows.item)
        gone = last[rows.forget[last]]
        kept = last[~rows.forget[last]]
        self._catalogue.forget(rows.item[gone])
        features = _columns(rows.features, rows.feature_names, self._catalogue.feature_names)
        self._catalogue.put(rows.item[kept], rows.category[kept], features[kept])
        is_kept = np.zeros(len(rows.item), np.bool_)
        is_kept[kept] = True
        for space, table in self._tables.items():
            where, vectors = rows.vectors.get(space, (np.empty(0, np.int64), None))
            with_vector = np.isin(kept, where)
            table.forget(np.concatenate((rows.item[gone], rows.item[kept[~with_vector]])))
            if vectors is not None and len(where):
                fresh = is_kept[where]
                table.put(rows.item[where[fresh]], vectors[fresh])


class ItemReader(LoopThread):
    """Keeps item store, tables and catalogue in step with the items topic."""

    def __init__(
        self,
        topic: str,
        store: ItemLog,
        feed: ItemFeed,
        make_reader: Callable[[], LogReader],
        sink: DeadLetterSink,
        *,
        emits: Callable[[], bool] = lambda: True,
        observe: Callable[[BatchStats], None] = lambda _: None,
        poll_seconds: float = 0.05,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        super().__init__("items", self._clock.seconds)
        self._at = TopicPartition(topic, ITEMS_PARTITION)
        self._store, self._feed, self._make_reader, self._sink = store, feed, make_reader, sink
        self._emits, self._poll_seconds = emits, poll_seconds
        self._hooks = PumpHooks(observe, lambda _: None, self._failed)
        self._reader: LogReader | None = None
        self._pump: Pump | None = None
        self._cursor: Cursor | None = None
        self._loaded = False
        self._trouble: str | None = None
        self._opening_error: str | None = None

    @property
    def version(self) -> int:
        """The item log position that tables and catalogue stand at; any thread."""
        return self._store.position

    def titles(self, items: "np.ndarray[Any, np.dtype[np.int64]]") -> list[str | None]:
        """Titles of items `[n] int64` for display; any thread."""
        return self._store.titles(items)

    def state(self) -> PartitionState:
        """Plain reading; any thread. `ready` once everything that was in the log at the start is in the tables."""
        cursor = self._cursor
        logs = {self._at.topic: cursor.state()} if cursor else {}
        phase = Phase.REPLAYING
        if self._trouble:
            phase = Phase.FAILED
        elif cursor is None:
            phase = Phase.OPENING
        elif cursor.caught_up:
            phase = Phase.READY
        return PartitionState(ITEMS_PARTITION, cursor is not None and cursor.serving, phase, logs, self._trouble)

    def _wake(self) -> None:
        reader = self._reader
        if reader:
            reader.wakeup()

    def _broker_error(self) -> str | None:
        return self._opening_error or (self._pump.broker_error if self._pump else None)

    def _failed(self, at: TopicPartition, error: Exception) -> None:
        self._trouble = f"{at.topic}-{at.partition}: {error}"
        log.error("the item reader has stopped, behaviours go on: %s", self._trouble, exc_info=error)

    def _turn(self) -> float:
        if not self._loaded:
            count = self._feed.load()
            log.info("%d items loaded at item log position %d", count, self.version)
            self._loaded = True
        if self._trouble:
            return BROKER_PAUSE_SECONDS
        if self._cursor is None or self._cursor.serving != self._emits():
            self._open()
        if self._pump is None or self._cursor is None:
            return BROKER_PAUSE_SECONDS
        self._pump.turn(self._poll_seconds, serving=False)
        return BROKER_PAUSE_SECONDS if self._pump.broker_error else 0.0

    def _open(self) -> None:
        """Check the store against the log and take the role; a broker that does not answer is asked next turn."""
        try:
            if self._reader is None:
                self._reader = self._make_reader()
                self._pump = Pump(self._reader, self._sink, BatchSizer(), self._hooks, self._clock)
            at = [self._at]
            bounds = LogBounds(self._reader.beginning_offsets(at)[self._at], self._reader.end_offsets(at)[self._at])
            committed = self._reader.committed(at).get(self._at)
        except Exception as error:
            self._opening_error = f"{type(error).__name__}: {error}"
            return
        self._opening_error = None
        self._begin(bounds, committed)

    def _begin(self, bounds: LogBounds, committed: int | None) -> None:
        assert self._pump is not None  # noqa: S101 - `_open` came first
        try:
            check_bounds(self._at, self._feed.position, bounds, may_start_late=True)
        except Exception as error:
            self._failed(self._at, error)
            return
        cursor = self._cursor or Cursor(self._at, self._feed, bounds.end, bounds.end)
        if self._emits():
            cursor.serve(committed)
        else:
            cursor.stand_by()
        self._pump.reassign([cursor])
        self._cursor = cursor

    def _release(self) -> None:
        if self._pump and self._cursor:
            self._pump.commit([self._cursor])
        if self._reader:
            self._reader.close()


def _last_of_each(items: "np.ndarray[Any, np.dtype[np.int64]]") -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Row of the last mention of each distinct item, ascending."""
    _, first_from_behind = np.unique(items[::-1], return_index=True)
    return np.sort(len(items) - 1 - first_from_behind)


def _columns(
    features: "np.ndarray[Any, np.dtype[np.int64]]", names: tuple[str, ...], wanted: tuple[str, ...]
) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Reorder `[n, F]` columns to the wanted names; zeros where a name is not there."""
    if names == wanted:
        return features
    out = np.zeros((len(features), len(wanted)), np.int64)
    for column, name in enumerate(wanted):
        if name in names:
            out[:, column] = features[:, names.index(name)]
    return out
