"""Where the reading of one topic partition stands, between the poll and the store.

Invariants: `position` (the store's) only moves after every dead letter below the new position is acknowledged, if this
worker serves the partition; `lettered` is the offset below which that has happened and is what gets committed; a batch
that waits for acknowledgements holds back everything behind it.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from muse_stream.streams.ingest.checking import UNKNOWN, Origin
from muse_stream.streams.ingest.feeds import Decoded, Feed
from muse_stream.streams.ingest.letters import Delivery
from muse_stream.streams.ingest.ports import TopicPartition
from muse_stream.streams.ingest.status import LogState
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.rejects import Reject

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Held:
    """A decoded batch whose dead letters are on their way."""

    records: RecordBatch
    decoded: Decoded
    delivery: Delivery
    letters: int
    decode_seconds: float
    decode_worked: float


@dataclass(slots=True)
class Cursor:
    """One topic partition.

    Attributes:
        at: Topic and partition.
        feed: Decodes and stores.
        target: Last stable offset at assignment.
        began: Offset below which readers saw everything then.
        began: Where the store stood then.
        end: Last stable offset as last refreshed.
        end_seen_ms: When that was, on the wall clock.
        origin: What the store was built from, as far as store or brokers have said.
        high: End of the log with the records of open transactions, as last seen above `end`.
        held_since_ms: Since when `end` has stood still below it, on the wall clock; None while nothing is held back.
        serving: Whether dead letters are emitted and the position is committed.
        lettered: Offset below which all rejects have been dead-lettered, by this worker or the one before.
        held: The batch that waits for acknowledgements.
        backlog: Batches that came behind it.
        paused: Whether delivery is paused because of it.
        read_to: Everything below it has been read (or was below `reading_from`) and is stored or held.
        committed: Last position committed.
        last_broker_time_ms: Broker time of the last record read.
        complete_ms: All that was in the log at that time is in the store; None while no such time is known.
        ahead: An end above the store's position and when it was asked for: `complete_ms` once it is reached.

    """

    at: TopicPartition
    feed: Feed
    target: int
    end: int
    end_seen_ms: int
    origin: Origin = UNKNOWN
    began: int = 0
    high: int = 0
    held_since_ms: int | None = None
    serving: bool = False
    lettered: int = 0
    held: Held | None = None
    backlog: deque[RecordBatch] = field(default_factory=deque)
    paused: bool = False
    read_to: int = 0
    committed: int = -1
    last_broker_time_ms: int | None = None
    complete_ms: int | None = None
    ahead: tuple[int, int] | None = None

    @property
    def reading_from(self) -> int:
        """Offset to (re)start reading at: below the store's position where rejects are still to be dead-lettered."""
        return min(self.feed.position, self.lettered) if self.serving else self.feed.position

    @property
    def caught_up(self) -> bool:
        """Whether readers see all that was in the log at assignment."""
        return self.feed.visible >= self.target

    @property
    def replayed(self) -> float:
        """Share read of what was unread at assignment."""
        if self.caught_up:
            return 1.0
        return (self.feed.visible - self.began) / max(self.target - self.began, 1)

    def aim(self, target: int) -> None:
        """Be caught up at `target` from now on."""
        self.target, self.began = target, self.feed.visible

    def serve(self, committed: int | None, begin: int) -> None:
        """Become the owner, or go on as such: what is below the group's commit was dead-lettered by an owner before.

        Without a commit there is nothing to tell what was; then letters begin at the store's position. A log that was
        trimmed beyond the commit has nothing left to dead-letter below its `begin`, which is no reason not to go on.
        """
        if self.serving:
            self.lettered = max(self.lettered, committed or 0)
        else:
            self.lettered = self.feed.position if committed is None else committed
        if self.lettered < begin <= self.feed.position:
            name = f"{self.at.topic}-{self.at.partition}"
            log.warning("%s: rejects from %d to %d, if any, are gone unseen", name, self.lettered, begin)
            self.lettered = begin
        self.serving = True
        self.committed = -1 if committed is None else committed

    def stand_by(self) -> None:
        """Keep storing, but leave dead letters and commits to the owner."""
        self.serving = False

    def restart(self) -> None:
        """Forget what is between poll and store; reading starts again at `reading_from`. After every change of role."""
        self.held = None
        self.backlog.clear()
        self.paused = False
        self.read_to = self.reading_from

    def to_letter(self, rejects: Sequence[Reject]) -> list[Reject]:
        """Return the rejects that this worker has to dead-letter."""
        return [reject for reject in rejects if reject.offset >= self.lettered] if self.serving else []

    def passed(self, records: RecordBatch) -> None:
        """Note that a batch is stored and its dead letters are acknowledged."""
        if self.serving:
            self.lettered = max(self.lettered, records.next_offset)
        self.read_to = records.next_offset
        if len(records):
            self.last_broker_time_ms = int(records.broker_time_ms[-1])
        if self.ahead is not None and self.feed.visible >= self.ahead[0]:
            self.complete_ms, self.ahead = self.ahead[1], None

    def note_end(self, end: int, now_ms: int) -> None:
        """Take notice of the last stable offset; one that moved is not held back by what was seen before."""
        if end != self.end:
            self.held_since_ms = None
        self.end, self.end_seen_ms = end, now_ms

    def note_asked(self, end: int, asked_ms: int) -> None:
        """Take notice of a last stable offset that was asked for at that time: how late the store is follows."""
        if self.feed.visible >= end:
            self.complete_ms, self.ahead = asked_ms, None
        elif self.ahead is None:
            self.ahead = end, asked_ms

    def note_high(self, high: int, now_ms: int) -> None:
        """Take notice of the log's end with the records of open transactions, asked before the last stable offset."""
        self.high = high
        if high <= self.end:
            self.held_since_ms = None
        elif self.held_since_ms is None:
            self.held_since_ms = now_ms

    def state(self) -> LogState:
        """Plain reading for health and metrics; any thread."""
        waiting = None if self.held is None else self.held.delivery.error or "dead letters are on their way"
        end = max(self.end, self.target)
        held_since_ms = self.held_since_ms
        return LogState(
            position=self.feed.position,
            end=end,
            end_seen_ms=self.end_seen_ms,
            target=self.target,
            replayed=self.replayed,
            last_broker_time_ms=self.last_broker_time_ms,
            waiting=waiting,
            held_back=max(0, self.high - end) if held_since_ms is not None else 0,
            held_since_ms=held_since_ms,
            complete_ms=self.complete_ms,
        )
