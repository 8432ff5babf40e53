"""The item reader: the items topic, read whole by every worker, into item store, vector tables and catalogue.

Invariants: tables and catalogue hold what the item store holds, which is what the log says up to `version`; they change
only after the store's write, and not while somebody holds a `moment`. Of the workers, all of which read the topic, only
the one that serves partition 0 of behaviours dead-letters its rejects.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from muse_stream.state.errors import StateError
from muse_stream.streams.errors import LogMismatchError
from muse_stream.streams.ingest.checking import origin_of
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.item_feed import ItemFeed
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.opening import new_cursor
from muse_stream.streams.ingest.ports import I64, DeadLetterSink, LogFacts, LogReader, TopicPartition
from muse_stream.streams.ingest.pump import Pump, PumpHooks
from muse_stream.streams.ingest.questions import Asks, LogAnswers, Questions
from muse_stream.streams.ingest.retry import Retry
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats, PartitionState, Phase, Stopped, stopped_by

log = logging.getLogger(__name__)

BROKER_PAUSE_SECONDS = 0.5
"""Between two questions to a broker that does not answer."""
ANSWER_PAUSE_SECONDS = 0.01
"""Between two looks for the answer to the first question."""
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
        asks: Asks | None = None,
        make_facts: Callable[[], LogFacts] | None = None,
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
            asks: Asks the broker; None: in a thread and by a consumer of its own.
            make_facts: For that thread, see `Questions`.

        """
        self._clock = clock or Clock()
        super().__init__("items", self._clock.seconds)
        self._at = TopicPartition(topic, ITEMS_PARTITION)
        self._feed, self._make_reader, self._sink = feed, make_reader, sink
        self._emits, self._poll_seconds = emits, poll_seconds
        self._hooks = PumpHooks(observe, lambda _: None, self._failed)
        self._asks = asks or Questions(make_reader, self._clock, make_facts)
        self._asked: Future[LogAnswers] | None = None
        self._reader: LogReader | None = None
        self._pump: Pump | None = None
        self._cursor: Cursor | None = None
        self._loaded = False
        self._error_text: str | None = None
        self._stopped: Stopped | None = None
        self._retry = Retry()
        self._trouble: str | None = None

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
        return PartitionState(ITEMS_PARTITION, serving, self._phase(cursor), logs, self._error_text, self._stopped)

    def _phase(self, cursor: Cursor | None) -> Phase:
        if self._error_text:
            return Phase.FAILED
        if cursor is None:
            return Phase.OPENING
        return Phase.READY if cursor.caught_up else Phase.REPLAYING

    def _wake(self) -> None:
        reader = self._reader
        if reader:
            reader.wakeup()

    def _broker_error(self) -> str | None:
        pump = self._pump
        return self._trouble or (pump.broker_error or pump.watch.trouble if pump else None)

    def _failed(self, at: TopicPartition, error: Exception) -> None:
        next_try = self._retry.failed(error, self._clock.seconds())
        self._error_text, self._stopped = f"{at.topic}-{at.partition}: {error}{next_try}", stopped_by(error)
        log.error("the item reader has stopped, behaviours go on: %s", self._error_text, exc_info=error)

    def _turn(self) -> float:
        if self._error_text is None and not self._loaded:
            self._load()
        if self._error_text and self._retry.at <= self._clock.seconds():
            self._reopen()
        if self._error_text:
            return BROKER_PAUSE_SECONDS
        if self._cursor is None or self._cursor.serving != self._emits():
            self._open()
        if self._pump is None or self._cursor is None:
            return BROKER_PAUSE_SECONDS if self._trouble else ANSWER_PAUSE_SECONDS
        self._pump.turn(self._poll_seconds, serving=self._cursor.caught_up)
        return BROKER_PAUSE_SECONDS if self._pump.broker_error else 0.0

    def _load(self) -> None:
        try:
            count = self._feed.load()
        except StateError as error:
            self._failed(self._at, error)
        else:
            self._loaded = True
            log.info("%d items loaded, item log position %d", count, self.version)

    def _reopen(self) -> None:
        """The way out after a refused write: tables and catalogue are still what the store holds, or it stops."""
        self._retry.begins()
        try:
            self._feed.store.reopen()
            if self._loaded:
                self._feed.require_same()
        except (StateError, LogMismatchError) as error:
            self._failed(self._at, error)
            return
        self._retry.opened(self._clock.seconds())
        self._error_text, self._cursor = None, None
        log.warning("the item store is open again and reads on from %d", self._feed.position)

    def _open(self) -> None:
        """Ask where the log stands and, with the answer, check the store and take the role."""
        if self._asked is None:
            self._asked = self._asks.logs([self._at])
        if not self._asked.done():
            return
        asked, self._asked = self._asked, None
        try:
            self._begin(asked.result())
        except LogMismatchError as error:
            self._failed(self._at, error)
        except Exception as error:
            if self._trouble is None:
                log.warning("the broker did not answer; asking again: %s", error)
            self._trouble = f"{type(error).__name__}: {error}"
        else:
            self._trouble = None

    def _begin(self, answers: LogAnswers) -> None:
        if self._pump is None:
            self._reader = self._make_reader()
            self._pump = Pump(
                self._reader, self._asks, self._sink, sizer=BatchSizer(), hooks=self._hooks, clock=self._clock
            )
        origin = origin_of(self._feed.store.identity)
        cursor = new_cursor(self._at, self._feed, origin, answers, may_start_late=True)
        if self._emits():
            cursor.serve(answers.committed.get(self._at), answers.bounds[self._at].begin)
        self._pump.reassign([cursor])
        self._cursor = cursor

    def _release(self) -> None:
        if self._pump and self._cursor:
            self._pump.commit([self._cursor])
        self._asks.close()
        if self._reader:
            self._reader.close()
