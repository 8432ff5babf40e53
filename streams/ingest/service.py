"""The ingest service: the partitions that this worker was given, read in a thread of its own.

Invariants: the set of open partitions follows from the last command alone; a partition is ready only with what was in
the log at the last assignment, also one that stayed (another worker may have owned it while this one was away); a
partition in trouble stops by itself, with its error in `states()`; readers reach stores only by lease, so that a
revocation neither waits for them nor pulls a store from under them.
"""

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.opening import PartitionParts, ask_bounds
from muse_stream.streams.ingest.ports import DeadLetterSink, LogBounds, LogReader, Partition, Store, TopicPartition
from muse_stream.streams.ingest.pump import Clock, Pump, PumpHooks
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats, PartitionState, Phase
from muse_stream.streams.ingest.stores import StoreMap
from muse_stream.streams.ingest.waiting import OffsetWaiters

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
"""A thread without partitions looks for a stop this often; commands wake it."""
BROKER_PAUSE_SECONDS = 0.5
"""Between two questions to a broker that does not answer."""
SERVING_SECONDS = 2.0
"""Batches stay small for this long after a request, so that a steady trickle of requests keeps them small."""


@dataclass(slots=True)
class _Partition:
    """What the service knows of one partition it should have open."""

    serving: bool
    cursors: list[Cursor]
    error: str | None = None


class IngestService(LoopThread):
    """Keeps the stores of the assigned partitions in step with the log.

    Attributes:
        stores: Lends the open stores to readers.

    """

    def __init__(
        self,
        parts: PartitionParts,
        make_reader: Callable[[], LogReader],
        sink: DeadLetterSink,
        *,
        observe: Callable[[BatchStats], None] = lambda _: None,
        sizer: BatchSizer | None = None,
        poll_seconds: float = 0.02,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        super().__init__("ingest", self._clock.seconds)
        self.stores: StoreMap[Store] = StoreMap()
        self._parts, self._make_reader, self._sink = parts, make_reader, sink
        self._sizer, self._poll_seconds = sizer or BatchSizer(), poll_seconds
        self._hooks = PumpHooks(observe, self._progressed, self._failed)
        self._reader: LogReader | None = None
        self._pump: Pump | None = None
        self._partitions: dict[int, _Partition] = {}
        self._waiters = OffsetWaiters(self._clock.seconds)
        self._dirty = False
        self._stale = False
        self._assignments = 0
        self._assigned = 0
        self._opening_error: str | None = None
        self._request_at = -SERVING_SECONDS

    def assign(self, serving: Iterable[int], standby: Iterable[int] = ()) -> "Future[None]":
        """Make exactly these the open partitions: owned ones, and copies kept in step without requests.

        Returns at once; the future is done when every new partition is open or has failed, or the broker did not answer
        (then it is asked again). Open partitions that stay are read on, and ready again with the log's end as it is
        now; one that had failed is tried again. One event loop or thread gives assignments.
        """
        wanted = dict.fromkeys(standby, False) | dict.fromkeys(serving, True)
        self._assignments += 1
        number = self._assignments
        return self.call(lambda: self._assign(wanted, number))

    def revoke(self, partitions: Iterable[int]) -> "Future[None]":
        """Close these; done when nothing reads or writes for them any more (leases close the stores themselves)."""
        gone = set(partitions)
        return self.call(lambda: self._want({p: s.serving for p, s in self._partitions.items() if p not in gone}))

    def demote(self, partitions: Iterable[int]) -> "Future[None]":
        """Keep these open as standbys: no dead letters, no commits."""
        lowered = set(partitions)
        return self.call(lambda: self._want({p: s.serving and p not in lowered for p, s in self._partitions.items()}))

    def wait_for(self, partition: int, offset: int, deadline: float | None = None) -> "Future[bool]":
        """Wait until the behaviours record at `offset` is in the store of `partition`; any thread.

        Args:
            partition: Partition of the record.
            offset: Its offset, as the producer was told.
            deadline: On the service's monotonic clock, seconds; noticed within one poll (20 ms) after it.

        Returns:
            A future of True once it is, of False at the deadline or when the partition is given up. Cancelling is fine.

        """
        return self._waiters.wait(partition, offset, deadline, lambda: self._position(partition))

    def note_request(self) -> None:
        """Say that a request is being served: batches stay small for the next seconds. Any thread."""
        self._request_at = self._clock.seconds()

    def serves(self, partition: int) -> bool:
        """Whether this worker owns the partition; any thread."""
        known = self._partitions.get(partition)
        return known is not None and known.serving and known.error is None

    def states(self) -> Mapping[int, PartitionState]:
        """Plain reading of every partition the service should have open; any thread."""
        return {number: self._state(number, known) for number, known in list(self._partitions.items())}

    def _wake(self) -> None:
        reader = self._reader
        if reader:
            reader.wakeup()

    def _broker_error(self) -> str | None:
        return self._opening_error or (self._pump.broker_error if self._pump else None)

    def _position(self, partition: int) -> int | None:
        known = self._partitions.get(partition)
        if known is None or known.error:
            return None
        return known.cursors[0].feed.position if known.cursors else -1

    def _state(self, number: int, known: _Partition) -> PartitionState:
        logs = {cursor.at.topic: cursor.state() for cursor in known.cursors}
        if known.error:
            phase = Phase.FAILED
        elif not known.cursors:
            phase = Phase.OPENING
        else:
            current = self._assigned == self._assignments and not self._stale
            caught_up = current and all(cursor.caught_up for cursor in known.cursors)
            phase = Phase.READY if caught_up else Phase.REPLAYING
        return PartitionState(number, known.serving, phase, logs, known.error)

    def _assign(self, wanted: Mapping[int, bool], number: int) -> None:
        self._stale = True
        self._want(wanted)
        self._assigned = number

    def _want(self, wanted: Mapping[int, bool]) -> None:
        """Close what is not wanted, note the rest, and open it."""
        for number in [p for p in self._partitions if p not in wanted]:
            self._drop(number)
        for number, serving in wanted.items():
            known = self._partitions.setdefault(number, _Partition(serving, []))
            if known.serving and not serving:
                self._stand_by(known)
            if known.serving != serving or known.error:
                known.serving, known.error, known.cursors = serving, None, []
            self._dirty = True
        self._open()

    def _stand_by(self, known: _Partition) -> None:
        if self._pump:
            self._pump.commit(known.cursors)

    def _drop(self, number: int) -> None:
        known = self._partitions.pop(number)
        self._stand_by(known)
        self._dirty = True
        self._waiters.give_up(number)
        self.stores.retire(number)

    def _open(self) -> None:
        """Open what is wanted and not open; when the broker does not answer, the next turn tries again."""
        missing = [number for number, known in self._partitions.items() if not known.cursors and not known.error]
        try:
            pump = self._connected()
            if self._stale:
                self._renew()
            if missing:
                self._open_all(missing)
            self._stale = False
            if self._dirty:
                pump.reassign(c for known in self._partitions.values() for c in known.cursors)
                self._dirty = False
            self._opening_error = None
        except Exception as error:
            if self._opening_error is None:
                log.warning("the broker did not answer; asking again: %s", error)
            self._opening_error = f"{type(error).__name__}: {error}"

    def _connected(self) -> Pump:
        if self._pump is None or self._reader is None:
            self._reader = self._make_reader()
            self._pump = Pump(self._reader, self._sink, self._sizer, self._hooks, self._clock)
        return self._pump

    def _renew(self) -> None:
        """Let those that stayed be ready with what is in the log now, and skip letters that another owner sent."""
        assert self._reader is not None  # noqa: S101 - `_connected` came first
        cursors = {cursor.at: cursor for known in self._partitions.values() for cursor in known.cursors}
        if not cursors:
            return
        ends, committed = self._reader.end_offsets(list(cursors)), self._reader.committed(list(cursors))
        for at, cursor in cursors.items():
            cursor.renew(ends[at], committed.get(at))

    def _open_all(self, numbers: list[int]) -> None:
        assert self._reader is not None  # noqa: S101 - `_connected` came first
        topics = [at for number in numbers for at in self._parts.topics(number)]
        bounds = ask_bounds(self._reader, topics, self._clock.wall_ms())
        committed = self._reader.committed(topics)
        for number in numbers:
            try:
                self._open_one(number, bounds, committed)
            except Exception as error:
                self._failed(TopicPartition(self._parts.behaviours, number), error)
            self._dirty = True

    def _open_one(self, number: int, bounds: Mapping[Partition, LogBounds], committed: Mapping[Partition, int]) -> None:
        known = self._partitions[number]
        start = self._parts.start(number, bounds)
        store = self.stores.open(number, lambda: self._parts.open_store(number, start))
        cursors = self._parts.cursors(number, store, bounds)
        for cursor in cursors:
            if known.serving:
                cursor.serve(committed.get(cursor.at))
        known.cursors = cursors

    def _progressed(self, cursor: Cursor) -> None:
        if cursor.at.topic == self._parts.behaviours:
            self._waiters.advance(cursor.at.partition, cursor.feed.position)

    def _failed(self, at: TopicPartition, error: Exception) -> None:
        """Stop one partition, loudly; both its topics, since they share the store."""
        known = self._partitions.get(at.partition)
        if known is None or known.error:
            return
        known.error = f"{at.topic}-{at.partition}: {error}\n{''.join(traceback.format_exception(error))}"
        known.cursors = []
        log.error("partition %d has stopped, others go on: %s", at.partition, known.error)
        self._dirty = True
        self._waiters.give_up(at.partition)
        self.stores.retire(at.partition, broken=True)

    def _turn(self) -> float:
        self._waiters.expire()
        if self._dirty or self._opening_error:
            self._open()
        if self._opening_error:
            return BROKER_PAUSE_SECONDS
        if self._pump is None or not self._pump.cursors:
            return IDLE_SECONDS
        serving = self._clock.seconds() - self._request_at < SERVING_SECONDS
        self._pump.turn(self._poll_seconds, serving=serving)
        return BROKER_PAUSE_SECONDS if self._pump.broker_error else 0.0

    def _release(self) -> None:
        for number in list(self._partitions):
            self._drop(number)
        if self._reader:
            self._reader.close()
