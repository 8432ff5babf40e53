"""Events from Faust, answered on the scores topic, and only then acknowledged.

Invariant: an event is acknowledged after the broker has its answer, and an answer that cannot be had or sent is tried
again for as long as this worker owns the partition: one unacknowledged event holds back the commits of all later ones.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from muse_stream.monitoring.logs import fields
from muse_stream.streams.serving import answers
from muse_stream.streams.serving.desk import Reply
from muse_stream.streams.tracing.context import TraceContext, from_record
from muse_stream.streams.tracing.tracing import UNTRACED, Trace
from muse_stream.streams.wire.answers import encode_answer

log = logging.getLogger(__name__)

OPEN_REQUESTS_MAX = 4_000
"""Requests taken from Faust and not yet answered; above it Faust's own buffer, then Kafka, holds them back."""
PAUSE_FIRST_SECONDS, PAUSE_MAX_SECONDS = 0.1, 5.0
"""Between attempts to send: a leader election takes about the first; the last bounds how late a return is noticed."""

Send = Callable[..., Awaitable[Any]]


class Service(Protocol):
    """Who answers."""

    def traced(self, context: TraceContext | None) -> Trace:
        """The place in a trace of a request that came with this context."""
        ...

    async def answer(
        self,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        broker_time_ms: float,
        *,
        arrived: float,
        trace: Trace,
    ) -> Reply | None:
        """Answer one request; None: the partition's next owner will."""
        ...

    def answered(self, reply: Reply, trace: Trace) -> None:
        """Count an answer that the broker has."""
        ...


@dataclass(eq=False, slots=True)
class _Taken:
    """An event on its way, and since when; `answered` once the broker has its answer."""

    event: Any
    arrived: float
    answered: bool = False


class _InOrder:
    """The events of one partition under one assignment."""

    def __init__(self) -> None:
        self._open: deque[_Taken] = deque()

    def take(self, event: Any, arrived: float) -> _Taken:  # noqa: ANN401 - Faust's event
        taken = _Taken(event, arrived)
        self._open.append(taken)
        return taken

    def answered(self, taken: _Taken) -> None:
        taken.answered = True
        while self._open and self._open[0].answered:
            self._open.popleft().event.ack()


class Requests:
    """Takes events, has them answered, sends the answers. Follows the assignment; all on the event loop.

    Args:
        send: Topic, key, value and headers in; done when the broker has acknowledged.
        service: Who answers.
        topic: The scores topic.
        generation: Number of the present assignment; events carry that of the one that delivered them.

    """

    def __init__(self, send: Send, service: Service, topic: str, generation: Callable[[], int]) -> None:
        self._send, self._service, self._topic, self._generation = send, service, topic, generation
        self._places = asyncio.Semaphore(OPEN_REQUESTS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._partitions: dict[int, _InOrder] = {}
        self._early: list[tuple[Any, float]] = []
        self._moved: Counter[int] = Counter()
        self._draining = False

    @property
    def open(self) -> int:
        """How many events are taken and not answered."""
        return len(self._tasks)

    def drain(self) -> None:
        """Take nothing more: what comes is left to the next owner."""
        self._draining = True

    def moved(self, partition: int) -> int:
        """How many events of a partition were taken and how many answered, together; any thread."""
        return self._moved[partition]

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Answer for these; Faust reads them again from what is committed, and may begin before it says so."""
        self._partitions = {partition: _InOrder() for partition in partitions}
        early, self._early = self._early, []
        for event, arrived in early:
            if event.message.generation_id == self._generation():
                await self._take(event, arrived)

    async def suspended(self) -> None:
        """Answer nothing that was taken so far: it comes again, to this worker or another."""
        self._partitions = {}
        self._early = []

    async def take(self, event: Any) -> None:  # noqa: ANN401 - Faust's event
        """Begin to answer one event; waits while too many are open, and for good once this worker drains."""
        await self._take(event, time.perf_counter())

    async def _take(self, event: Any, arrived: float) -> None:  # noqa: ANN401 - Faust's event
        if self._draining:
            await asyncio.Event().wait()
        await self._places.acquire()
        events = self._partitions.get(event.message.partition)
        if events is None:
            self._places.release()
            self._early.append((event, arrived))
            return
        self._moved[event.message.partition] += 1
        task = asyncio.get_running_loop().create_task(self._answer(events, events.take(event, arrived)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, events: _InOrder, taken: _Taken) -> None:
        message = taken.event.message
        record = (message.key, message.value, message.partition, message.timestamp * 1e3)
        trace = UNTRACED
        try:
            trace = self._service.traced(from_record(message.headers))
            reply = await self._service.answer(*record, arrived=taken.arrived, trace=trace)
            while reply is None and self._holds(events, message.partition):
                await asyncio.sleep(PAUSE_FIRST_SECONDS)
                reply = await self._service.answer(*record, arrived=taken.arrived, trace=trace)
            if reply is None:
                return
            if await self._deliver(events, message, reply, trace):
                events.answered(taken)
                self._moved[message.partition] += 1
                reply.clock.mark("produce")
                self._service.answered(reply, trace)
        except Exception:
            names = fields(partition=message.partition, offset=message.offset, trace=trace.id)
            log.exception("a request was not answered; the next owner of its partition will be asked", extra=names)
        finally:
            self._places.release()

    def _holds(self, events: _InOrder, partition: int) -> bool:
        """Whether the assignment that delivered these events still holds."""
        return self._partitions.get(partition) is events

    async def _deliver(self, events: _InOrder, message: Any, reply: Reply, trace: Trace) -> bool:  # noqa: ANN401 - Faust's
        """Send until the broker has the answer; False once the assignment has changed."""
        pause, body, headers = PAUSE_FIRST_SECONDS, reply.body, trace.record_headers()
        while self._holds(events, message.partition):
            try:
                await self._send(self._topic, message.key, body, headers)
            except (KafkaError, ProducerSendError) as error:
                if isinstance(error, MessageSizeTooLargeError) and body is reply.body:
                    body = encode_answer(
                        answers.oversized(reply.request_id, reply.user, len(body), "the topic's limit")
                    )
                    continue
                names = fields(request=reply.request_id, trace=trace.id)
                log.warning("an answer was not accepted, trying again in %.1f s: %r", pause, error, extra=names)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_SECONDS)
            else:
                return self._holds(events, message.partition)
        return False
