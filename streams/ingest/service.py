"""The ingest service: the partitions that this worker was given, read in a thread of its own.

Invariants: the set of open partitions follows from the last command alone; a partition is ready only with what was in
the log at the last assignment, also one that stayed (another worker may have owned it while this one was away); a
partition in trouble stops by itself, with its error in `states()`; readers reach stores only by lease, so that a
revocation neither waits for them nor pulls a store from under them.

An assignment has three steps: what left is closed at once; the broker is asked, elsewhere, where the logs stand now;
with its answer, stores are opened and checked, roles taken, and what stayed gets its new target.
"""

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

from muse_stream.streams.errors import LogMismatchError
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.courtesy import Courtesy
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.opening import PartitionParts
from muse_stream.streams.ingest.partition import OpenPartition
from muse_stream.streams.ingest.ports import DeadLetterSink, LogFacts, LogReader, Store, TopicPartition
from muse_stream.streams.ingest.pump import Pump, PumpHooks
from muse_stream.streams.ingest.questions import Asks, LogAnswers, Questions
from muse_stream.streams.ingest.retry import NEVER
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats, PartitionState, stopped_by
from muse_stream.streams.ingest.stores import StoreMap
from muse_stream.streams.ingest.waiting import OffsetWaiters

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
"""A thread without partitions looks for a stop this often; commands wake it."""
BROKER_PAUSE_SECONDS = 0.5
"""Between two questions to a broker that does not answer."""
SERVING_SECONDS = 2.0
"""Batches stay small for this long after a request, so that a steady trickle of requests keeps them small."""


class IngestService(LoopThread):
    """Keeps the stores of the assigned partitions in step with the log.

    Attributes:
        stores: Lends the open stores to readers.
        courtesy: `with` it passes are computed, and go first.

    """

    def __init__(
        self,
        parts: PartitionParts,
        make_reader: Callable[[], LogReader],
        sink: DeadLetterSink,
        *,
        observe: Callable[[BatchStats], None] = lambda _: None,
        committed: Callable[[float], None] = lambda seconds: None,
        sizer: BatchSizer | None = None,
        poll_seconds: float = 0.02,
        clock: Clock | None = None,
        asks: Asks | None = None,
        make_facts: Callable[[], LogFacts] | None = None,
    ) -> None:
        """Prepare; nothing is asked or read before `start` and `assign`.

        Args:
            parts: What partitions are made of.
            make_reader: Makes a consumer; called in ingest's threads, again after it failed.
            sink: Takes dead letters; its owner closes it.
            observe: Told of each batch, in the ingest thread.
            committed: Told how long each commit took, in the ingest thread.
            sizer: Chooses batch sizes.
            poll_seconds: Longest wait for records.
            clock: Time.
            asks: Asks the broker; None: in a thread and by a consumer of its own.
            make_facts: For that thread, see `Questions`.

        """
        self._clock = clock or Clock()
        super().__init__("ingest", self._clock.seconds)
        self.stores: StoreMap[Store] = StoreMap()
        self.courtesy = Courtesy()
        self._parts, self._make_reader, self._sink = parts, make_reader, sink
        self._asks = asks or Questions(make_reader, self._clock, make_facts)
        self._sizer, self._poll_seconds = sizer or BatchSizer(), poll_seconds
        self._hooks = PumpHooks(observe, self._progressed, self._failed, committed)
        self._waiters = OffsetWaiters(self._clock.seconds)
        self._reader: LogReader | None = None
        self._pump: Pump | None = None
        self._partitions: dict[int, OpenPartition] = {}
        self._given = 0  # assignments by their callers, counted in their thread
        self._current = 0  # the assignment that the partitions have, by number
        self._confirmed = 0  # the last one for which the broker has said where the logs stand
        self._callers: list[Future[None]] = []
        self._ask_at = float("inf")
        self._dirty = False
        self._trouble: str | None = None
        self._request_at = -SERVING_SECONDS

    def assign(self, serving: Iterable[int], standby: Iterable[int] = ()) -> "Future[None]":
        """Make exactly these the open partitions: owned ones, and copies kept in step without requests.

        Returns at once; the future is done when every new partition is open, has failed or waits for a snapshot, or the
        broker did not answer (then it is asked again). Open partitions that stay are read on, and ready again with the
        log's end as it is now; one that had failed is tried again. One event loop or thread gives assignments.
        """
        wanted = dict.fromkeys(standby, False) | dict.fromkeys(serving, True)
        done: Future[None] = Future()
        self._given += 1
        number = self._given
        taken = self.call(lambda: self._assign(wanted, number, done))
        taken.add_done_callback(lambda future: _pass_on(future, done))
        return done

    def revoke(self, partitions: Iterable[int]) -> "Future[None]":
        """Close these; done when nothing reads or writes for them any more (leases close the stores themselves)."""
        gone = list(partitions)
        return self.call(lambda: self._revoke(gone))

    def demote(self, partitions: Iterable[int]) -> "Future[None]":
        """Keep these open as standbys: no dead letters, no commits."""
        lowered = list(partitions)
        return self.call(lambda: self._demote(lowered))

    def wait_for(self, partition: int, offset: int, deadline: float | None = None) -> "Future[bool]":
        """Wait until the behaviours record at `offset` is in the store of `partition`; any thread.

        Args:
            partition: Partition of the record.
            offset: Its offset, as the producer was told.
            deadline: On the monotonic clock (`time.monotonic`), seconds; noticed at once, or after the poll and the
                batch that are under way.

        Returns:
            A future of True once it is, of False at the deadline or when the partition is given up. Cancelling is fine.

        """
        return self._waiters.wait(partition, offset, deadline, lambda: self._position(partition))

    def note_request(self) -> None:
        """Say that a request is being served: batches stay small for the next seconds. Any thread."""
        self._request_at = self._clock.seconds()

    def report(self, partition: int, error: Exception) -> None:
        """Say that a reader found the store of `partition` damaged: it stops. Any thread; returns at once."""
        self.call(lambda: self._failed(TopicPartition(self._parts.behaviours, partition), error))

    def serves(self, partition: int) -> bool:
        """Whether this worker owns the partition; any thread."""
        known = self._partitions.get(partition)
        return known is not None and known.serving and known.error is None

    def states(self) -> Mapping[int, PartitionState]:
        """Plain reading of every partition the service should have open; any thread."""
        current = self._given == self._confirmed
        return {number: known.state(current=current) for number, known in list(self._partitions.items())}

    def state(self, partition: int) -> PartitionState | None:
        """The same of one partition, None where it should not be open: every request asks."""
        known = self._partitions.get(partition)
        return None if known is None else known.state(current=self._given == self._confirmed)

    def _position(self, partition: int) -> int | None:
        known = self._partitions.get(partition)
        return None if known is None else known.position

    def _wake(self) -> None:
        reader = self._reader
        if reader:
            reader.wakeup()

    def _broker_error(self) -> str | None:
        pump = self._pump
        return self._trouble or (pump.broker_error or pump.watch.trouble if pump else None)

    def _assign(self, wanted: Mapping[int, bool], number: int, done: "Future[None]") -> None:
        self._revoke([partition for partition in self._partitions if partition not in wanted])
        self._demote([partition for partition, serving in wanted.items() if not serving])
        for partition, serving in wanted.items():
            known = self._partitions.setdefault(partition, OpenPartition(partition))
            known.assigned(serving=serving)
        self._current = number
        self._callers.append(done)
        self._ask()

    def _revoke(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            known = self._partitions.pop(partition, None)
            if known is not None:
                self._commit(known)
                self._dirty = True
                self._waiters.give_up(partition)
                self.stores.retire(partition)
        self._settle()

    def _demote(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            known = self._partitions.get(partition)
            if known is not None and known.serving:
                self._commit(known)
                known.stand_by()
                self._dirty = True
        self._settle()

    def _commit(self, known: OpenPartition) -> None:
        if self._pump:
            self._pump.commit(known.cursors)

    def _ask(self) -> None:
        """Ask where the logs stand; an answer to an earlier assignment is not used."""
        number, self._ask_at = self._current, float("inf")
        topics = [at for partition in self._partitions for at in self._parts.topics(partition)]
        if not topics:
            self._confirmed = number
            self._answer_callers()
            return
        answer = self._asks.logs(topics)
        answer.add_done_callback(lambda done: self.call(lambda: self._answered(number, done)))

    def _answered(self, number: int, answer: "Future[LogAnswers]") -> None:
        if number != self._current:
            return
        error = answer.exception()
        if error is None:
            for known in list(self._partitions.values()):
                self._open(known, answer.result())
            self._dirty = True
            self._settle()
            self._confirmed = number
        else:
            self._broker_trouble(error)
            self._ask_at = self._clock.seconds() + BROKER_PAUSE_SECONDS
        self._answer_callers()

    def _retry(self) -> None:
        """Open again what stopped for trouble that can pass, when its pause is over."""
        now, number = self._clock.seconds(), self._current
        due = [known for known in self._partitions.values() if known.retry.at <= now]
        if not due:
            return
        for known in due:
            known.retry.at = NEVER
        answer = self._asks.logs([at for known in due for at in self._parts.topics(known.number)])
        answer.add_done_callback(lambda done: self.call(lambda: self._retried(number, due, done)))

    def _retried(self, number: int, due: list[OpenPartition], answer: "Future[LogAnswers]") -> None:
        if number != self._current:
            return
        error = answer.exception()
        for known in due:
            if self._partitions.get(known.number) is not known:
                continue
            if error is not None:
                known.retry.at = self._clock.seconds() + BROKER_PAUSE_SECONDS
                continue
            known.try_again()
            self._open(known, answer.result())
            if known.cursors:
                log.warning("partition %d is open again and reads on from %s", known.number, known.position)
        self._dirty = True
        self._settle()

    def _open(self, known: OpenPartition, answers: LogAnswers) -> None:
        try:
            if not self._restore(known, answers):
                known.open(self._parts, self.stores, answers)
                known.retry.opened(self._clock.seconds())
        except Exception as error:
            behind = isinstance(error, LogMismatchError) and error.behind == self._parts.behaviours
            if behind and self._restore(known, answers, behind=True):
                self.stores.retire(known.number, broken=True)
            else:
                self._failed(TopicPartition(self._parts.behaviours, known.number), error)

    def _restore(self, known: OpenPartition, answers: LogAnswers, *, behind: bool = False) -> bool:
        """Whether a snapshot is being restored; the partition is opened when that has ended, whatever came of it."""
        restoring = known.restore(self._parts, answers, behind=behind)
        if restoring is None:
            return False
        restoring.add_done_callback(lambda _: self.call(lambda: known.retry.soon(self._clock.seconds())))
        return True

    def _settle(self) -> None:
        """Read exactly what is open; a client in trouble is asked again by the next turn."""
        if not self._dirty:
            return
        cursors = [cursor for known in self._partitions.values() for cursor in known.cursors]
        if not cursors and self._pump is None:
            self._dirty = False
            return
        try:
            self._connected().reassign(cursors)
        except Exception as error:
            self._broker_trouble(error)
        else:
            self._dirty, self._trouble = False, None

    def _connected(self) -> Pump:
        if self._pump is None:
            self._reader = self._make_reader()
            self._pump = Pump(
                self._reader,
                self._asks,
                self._sink,
                sizer=self._sizer,
                hooks=self._hooks,
                clock=self._clock,
                courtesy=self.courtesy,
            )
        return self._pump

    def _broker_trouble(self, error: BaseException) -> None:
        if self._trouble is None:
            log.warning("the broker did not answer; asking again: %s", error)
        self._trouble = f"{type(error).__name__}: {error}"

    def _answer_callers(self) -> None:
        callers, self._callers = self._callers, []
        for caller in callers:
            if caller.set_running_or_notify_cancel():
                caller.set_result(None)

    def _progressed(self, cursor: Cursor) -> None:
        if cursor.at.topic == self._parts.behaviours:
            self._waiters.advance(cursor.at.partition, cursor.feed.position)

    def _failed(self, at: TopicPartition, error: Exception) -> None:
        """Stop one partition, loudly; both its topics, since they share the store."""
        known = self._partitions.get(at.partition)
        if known is None or known.error:
            return
        next_try = known.retry.failed(error, self._clock.seconds())
        name = f"{at.topic}-{at.partition}: "
        text = f"{name}{str(error).removeprefix(name)}{next_try}\n{''.join(traceback.format_exception(error))}"
        known.fail(text, stopped_by(error))
        log.error("partition %d has stopped, others go on: %s", at.partition, known.error)
        self._dirty = True
        self._waiters.give_up(at.partition)
        self.stores.retire(at.partition, broken=True)

    def _turn(self) -> float:
        self._waiters.expire()
        if self._clock.seconds() >= self._ask_at:
            self._ask()
        self._retry()
        self._settle()
        if self._dirty:
            return self._at_most(BROKER_PAUSE_SECONDS)
        if self._pump is None or not self._pump.cursors:
            return self._at_most(IDLE_SECONDS)
        serving = self._clock.seconds() - self._request_at < SERVING_SECONDS
        self._pump.turn(self._at_most(self._poll_seconds), serving=serving)
        return self._at_most(BROKER_PAUSE_SECONDS) if self._pump.broker_error else 0.0

    def _at_most(self, seconds: float) -> float:
        """Rest no longer than until the next waiter's deadline."""
        return max(0.0, min(seconds, self._waiters.next_deadline() - self._clock.seconds()))

    def _release(self) -> None:
        for partition in list(self._partitions):
            self._commit(self._partitions[partition])
            del self._partitions[partition]
            self._waiters.give_up(partition)
            self.stores.retire(partition)
        self._answer_callers()
        self._asks.close()
        if self._reader:
            self._reader.close()


def _pass_on(taken: "Future[None]", done: "Future[None]") -> None:
    error = taken.exception()
    if error is not None:
        done.set_exception(error)
