"""The item reader: the items topic, read whole by every worker, into item store, vector tables and catalogue.

Invariants: tables and catalogue hold what the item store holds, which is what the log says up to `version`; they change
only after the store's write, and not while somebody holds a `moment`. Of the workers, all of which read the topic, only
the one that serves partition 0 of behaviours dead-letters its rejects.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from muse_stream.streams.errors import LogMismatchError
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.item_feed import ItemFeed
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.opening import ask_bounds, new_cursor
from muse_stream.streams.ingest.ports import I64, DeadLetterSink, LogReader, TopicPartition
from muse_stream.streams.ingest.pump import Clock, Pump, PumpHooks
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats, PartitionState, Phase

log = logging.getLogger(__name__)

BROKER_PAUSE_SECONDS = 0.5
"""Between two questions to a broker that does not answer."""
ITEMS_PARTITION = 0
"""The topic has one partition, so that its offset is the tables' version."""


class ItemReader(LoopThread):
    """Keeps item store, tables and catalogue in step with the items topic."""

    def __init__(
        self,
        topic: str,
        feed: ItemFeed,
        make_reader: Callable[[], LogReader],
        sink: DeadLetterSink,
        *,
        emits: Callable[[], bool] = lambda: True,
        observe: Callable[[BatchStats], None] = lambda _: None,
        poll_seconds: float = 0.05,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; `start` loads what the store holds, then reads on.

        Args:
            topic: Full topic name.
            feed: Store, tables and catalogue.
            make_reader: Makes a consumer; called in the thread, again after a failure.
            sink: Takes dead letters.
            emits: Whether this worker dead-letters rejects now.
            observe: Told of each batch.
            poll_seconds: Longest wait for records.
            clock: Time.

        """
        self._clock = clock or Clock()
        super().__init__("items", self._clock.seconds)
        self._at = TopicPartition(topic, ITEMS_PARTITION)
        self._feed, self._make_reader, self._sink = feed, make_reader, sink
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
        return self._feed.version

    @contextmanager
    def moment(self) -> Iterator[int]:
        """Hold tables and catalogue still for the length of a `with` block; gives their version. Any thread."""
        with self._feed.gate.shared():
            yield self._feed.version

    def titles(self, items: I64) -> list[str | None]:
        """Titles of items `[n] int64` for display; any thread."""
        return self._feed.store.titles(items)

    def state(self) -> PartitionState:
        """Plain reading; any thread. `ready` once everything that was in the log at the start is in the tables."""
        cursor = self._cursor
        logs = {self._at.topic: cursor.state()} if cursor else {}
        serving = cursor is not None and cursor.serving
        return PartitionState(ITEMS_PARTITION, serving, self._phase(cursor), logs, self._trouble)

    def _phase(self, cursor: Cursor | None) -> Phase:
        if self._trouble:
            return Phase.FAILED
        if cursor is None:
            return Phase.OPENING
        return Phase.READY if cursor.caught_up else Phase.REPLAYING

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
            self._loaded = True
            log.info("%d items loaded, item log position %d", count, self.version)
        if self._trouble:
            return BROKER_PAUSE_SECONDS
        if self._cursor is None or self._cursor.serving != self._emits():
            self._open()
        if self._pump is None or self._cursor is None:
            return BROKER_PAUSE_SECONDS
        self._pump.turn(self._poll_seconds, serving=self._cursor.caught_up)
        return BROKER_PAUSE_SECONDS if self._pump.broker_error else 0.0

    def _open(self) -> None:
        """Check the store against the log and take the role; a broker that does not answer is asked next turn."""
        try:
            pump = self._connected()
            self._begin(pump)
            self._opening_error = None
        except Exception as error:
            if self._opening_error is None:
                log.warning("the broker did not answer; asking again: %s", error)
            self._opening_error = f"{type(error).__name__}: {error}"

    def _connected(self) -> Pump:
        if self._reader is None or self._pump is None:
            self._reader = self._make_reader()
            self._pump = Pump(self._reader, self._sink, BatchSizer(), self._hooks, self._clock)
        return self._pump

    def _begin(self, pump: Pump) -> None:
        assert self._reader is not None  # noqa: S101 - `_connected` came first
        bounds = ask_bounds(self._reader, [self._at], self._clock.wall_ms())[self._at]
        emits = self._emits()
        committed = self._reader.committed([self._at]) if emits else {}
        try:
            cursor = new_cursor(self._at, self._feed, bounds, may_start_late=True)
        except LogMismatchError as error:
            self._failed(self._at, error)
            return
        if emits:
            cursor.serve(committed.get(self._at))
        else:
            cursor.stand_by()
        pump.reassign([cursor])
        self._cursor = cursor

    def _release(self) -> None:
        if self._pump and self._cursor:
            self._pump.commit([self._cursor])
        if self._reader:
            self._reader.close()
