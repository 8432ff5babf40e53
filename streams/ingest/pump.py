"""One turn of ingest: poll, decode, dead letters, one write per partition, commit now and then.

Invariants: per partition the order is decode -> dead letters acknowledged -> rows and position written -> engine told
-> observers told -> committed; a partition that fails or waits does not hold up the others. No thread and no clock of
its own: whoever calls `turn` decides when, which is how a simulation can drive it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from muse_stream.streams.errors import PositionError
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.courtesy import COURTESY_SECONDS, Courtesy
from muse_stream.streams.ingest.cursor import Cursor, Held
from muse_stream.streams.ingest.feeds import Written
from muse_stream.streams.ingest.letters import Delivery
from muse_stream.streams.ingest.ports import DeadLetterSink, LogReader, Partition, TopicPartition
from muse_stream.streams.ingest.questions import Asks
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.ingest.watch import LogWatch
from muse_stream.streams.records import RecordBatch

log = logging.getLogger(__name__)

COMMIT_SECONDS = 1.0
"""Commits inform lag tools, which scrape no faster."""
RECOMMIT_SECONDS = 60.0
"""A commit may be lost unseen, and those of idle partitions expire at the broker after 7 days: all are said again."""
LETTER_GRACE_SECONDS = 0.05
"""An acknowledgement usually comes within this; pausing a partition throws its prefetched records away."""
LETTER_LOOK_SECONDS = 0.001
"""Between two looks within the grace."""
YIELD_SECONDS = 0.00005
"""Between two partitions' batches while requests are served: a sleep that is not zero lets a waiting thread in."""
HELD_POLL_SECONDS = 0.02
"""Poll no longer than this while a batch waits for an acknowledgement."""


@dataclass(frozen=True, slots=True)
class PumpHooks:
    """Whom to tell. Called in the pumping thread; they must not block.

    Attributes:
        observe: After each batch became retrievable.
        progressed: After each write, with the cursor whose position moved.
        failed: When a topic partition cannot go on; its cursor has been removed already.
        committed: After each commit, successful or not, with the seconds that it took.

    """

    observe: Callable[[BatchStats], None]
    progressed: Callable[[Cursor], None]
    failed: Callable[[TopicPartition, Exception], None]
    committed: Callable[[float], None] = lambda seconds: None


class Pump:
    """Reads a set of topic partitions into their feeds. Used by one thread.

    Attributes:
        cursors: What is being read.
        broker_error: What the last poll that failed came to; None since one worked.
        watch: Where the logs stand.

    """

    def __init__(
        self,
        reader: LogReader,
        asks: Asks,
        sink: DeadLetterSink,
        *,
        sizer: BatchSizer,
        hooks: PumpHooks,
        clock: Clock,
        courtesy: Courtesy | None = None,
    ) -> None:
        self.cursors: dict[Partition, Cursor] = {}
        self.broker_error: str | None = None
        self._reader, self._sink = reader, sink
        self.watch = LogWatch(asks, clock)
        self._sizer, self._hooks, self._clock = sizer, hooks, clock
        self._commit_at = self._recommit_at = 0.0
        self._is_astray = False
        self._courtesy = courtesy or Courtesy()
        self._behind_seconds = 0.0  # what the last turn took, if it left records behind

    def reassign(self, cursors: Iterable[Cursor]) -> None:
        """Read exactly these from now on; what was polled and not yet stored is read again."""
        self.cursors = {cursor.at: cursor for cursor in cursors}
        for cursor in self.cursors.values():
            cursor.restart()
        self._is_astray = True
        self._reader.assign({at: cursor.reading_from for at, cursor in self.cursors.items()})
        self._is_astray = False

    def turn(self, timeout_seconds: float, *, serving: bool) -> int:
        """Poll once and process what came. Returns the records read; never raises for the broker's sake."""
        self._settle()
        self._courtesy.allow(self._behind_seconds or COURTESY_SECONDS)
        self._courtesy.give_way(self._clock)
        waiting = any(cursor.held for cursor in self.cursors.values())
        asked = self._sizer.records(serving=serving)
        batches = self._poll(asked, min(timeout_seconds, HELD_POLL_SECONDS) if waiting else timeout_seconds)
        began = self._clock.seconds()
        for records in batches:
            self._courtesy.give_way(self._clock)
            self._take(records)
            if serving:
                self._clock.sleep(YIELD_SECONDS)
        count = sum(map(len, batches))
        self._behind_seconds = self._clock.seconds() - began if count >= asked else 0.0
        for cursor, error in self.watch.turn(self.cursors):
            self.fail(cursor.at, error)
        self._commit()
        return count

    def fail(self, at: TopicPartition, error: Exception) -> None:
        """Stop reading one topic partition; the others go on."""
        if self.cursors.pop(at, None) is not None:
            self._hooks.failed(at, error)

    def commit(self, cursors: Iterable[Cursor]) -> None:
        """Commit what these have reached; failures are logged, since commits are information only."""
        due = {cursor.at: cursor for cursor in cursors if cursor.serving and cursor.lettered > cursor.committed}
        if not due:
            return
        began = self._clock.seconds()
        try:
            self._reader.commit({at: cursor.lettered for at, cursor in due.items()})
        except Exception as error:
            log.warning("commit of %d positions failed: %s", len(due), error)
            return
        finally:
            self._hooks.committed(self._clock.seconds() - began)
        for cursor in due.values():
            cursor.committed = cursor.lettered

    def _poll(self, records: int, timeout_seconds: float) -> list[RecordBatch]:
        try:
            if self._is_astray:
                self.reassign(self.cursors.values())
            batches = self._reader.poll(records, int(timeout_seconds * 1000))
        except PositionError as error:
            for topic, partition in error.positions:
                self.fail(TopicPartition(topic, partition), error)
            return []
        except Exception as error:
            self._broker_trouble(error)
            self._is_astray = True
            return []
        self.broker_error = None
        return batches

    def _broker_trouble(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self.broker_error:
            log.warning("the broker did not answer; asking again: %s", text)
        self.broker_error = text

    def _settle(self) -> None:
        for cursor in list(self.cursors.values()):
            if cursor.held is not None and cursor.held.delivery.settled():
                self._guarded(cursor, self._drain)

    def _drain(self, cursor: Cursor) -> None:
        """Finish the held batch and what queued behind it, up to the next batch that has to wait."""
        held, cursor.held = cursor.held, None
        if held is not None:
            self._finish(cursor, held)
        while cursor.backlog and cursor.held is None:
            self._begin(cursor, cursor.backlog.popleft())
        if cursor.paused and cursor.held is None:
            cursor.paused = False
            self._reader.resume([cursor.at])

    def _take(self, records: RecordBatch) -> None:
        cursor = self.cursors.get(TopicPartition(records.topic, records.partition))
        if cursor is None:
            return
        cursor.backlog.append(records)
        if cursor.held is None:
            self._guarded(cursor, self._drain)

    def _guarded(self, cursor: Cursor, work: Callable[[Cursor], None]) -> None:
        try:
            work(cursor)
        except Exception as error:
            self.fail(cursor.at, error)

    def _begin(self, cursor: Cursor, records: RecordBatch) -> None:
        started, worked = self._clock.seconds(), self._clock.worked()
        decoded = cursor.feed.decode(records)
        decode_seconds, decode_worked = self._clock.seconds() - started, self._clock.worked() - worked
        letters = cursor.to_letter(decoded.rejects)
        delivery = Delivery(self._sink, letters, self._clock.seconds)
        held = Held(records, decoded, delivery, len(letters), decode_seconds, decode_worked)
        if self._acknowledged(delivery):
            self._finish(cursor, held)
            return
        cursor.held = held
        if not cursor.paused:
            cursor.paused = True
            self._reader.pause([cursor.at])

    def _acknowledged(self, delivery: Delivery) -> bool:
        """Give the broker a moment, which spares a pause."""
        until = self._clock.seconds() + LETTER_GRACE_SECONDS
        while not delivery.settled():
            if delivery.error or self._clock.seconds() >= until:
                return False
            self._clock.sleep(LETTER_LOOK_SECONDS)
        return True

    def _finish(self, cursor: Cursor, held: Held) -> None:
        records, worked = held.records, self._clock.worked()
        live, before = cursor.caught_up, cursor.feed.position
        new = records.next_offset > before
        written = cursor.feed.write(held.decoded.rows, records.next_offset, cursor.read_to) if new else Written()
        cursor.passed(records)
        self._sizer.measured(len(records), held.decode_worked + self._clock.worked() - worked)
        self._hooks.progressed(cursor)
        if len(records):
            self._observe(cursor, held, written, before, live=live)

    def _observe(self, cursor: Cursor, held: Held, written: Written, before: int, *, live: bool) -> None:
        records = held.records
        stats = BatchStats(
            topic=records.topic,
            partition=records.partition,
            serving=cursor.serving,
            records=len(records),
            rows=written.rows,
            applied=written.applied,
            duplicates=written.duplicates,
            erased=written.erased,
            rejects=Counter(str(reject.reason) for reject in held.decoded.rejects if reject.offset >= before),
            dead_letters=held.letters,
            event_time_ms=written.event_time_ms,
            broker_time_ms=written.broker_time_ms,
            visible_at_ms=self._clock.wall_ms(),
            live=live,
            decode_seconds=held.decode_seconds,
            store_seconds=written.store_seconds,
            engine_seconds=written.engine_seconds,
            headers=records.headers,
        )
        try:
            self._hooks.observe(stats)
        except Exception:
            log.exception("an observer of ingest failed; the batch is stored all the same")

    def _commit(self) -> None:
        now = self._clock.seconds()
        if now < self._commit_at:
            return
        self._commit_at = now + COMMIT_SECONDS
        if now >= self._recommit_at:
            self._recommit_at = now + RECOMMIT_SECONDS
            for cursor in self.cursors.values():
                cursor.committed = -1
        self.commit(self.cursors.values())
