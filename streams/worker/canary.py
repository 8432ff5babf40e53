"""The canary: every few seconds the owner of a partition writes a behaviour and asks for it as any client would.

One round, for the partition's reserved user (`streams.wire.canary`):

1. a behaviour goes to the behaviours topic; the clock starts as it is handed to the producer;
2. once the broker has acknowledged it, a request of the same user goes to the requests topic, with `not_before` = the
   behaviour's offset, so that the answer waits for it as a client's would;
3. the request comes back through Faust, waits, is searched and answered like any other; once the broker has the answer
   on the scores topic, `answered` is told and reads the answer's bytes: nothing but the bytes is believed.

**What proves that the behaviour is retrievable.** Only behaviours whose item has a vector can be retrieved. So the item
is one that has a vector in the space that is served, and the same item is the candidate: the answer's retrieved list
must hold this item at this event time. k is above the longest history that a canary has, so that neither ranks nor ties
decide. Where no item has a vector yet, the item is one that nobody has heard of, and the request asks for an
explanation, which names the newest behaviours with or without vectors: the behaviour must be among those. The item need
not be in the catalogue, and the canary writes nothing there.

**What stays behind.** The user is erased through the log before the first canary of an assignment and then once in
`ERASE_EVERY`, so its history stays short, and erasing is exercised too. Reserved users are in no count of requests and
in no sample. One round per partition is under way at a time; whatever goes wrong ends in a counted reason.

Invariant: nothing that happens here reaches the worker: every round is a task of its own that catches everything.
"""

import asyncio
import itertools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError

from muse_stream.monitoring import Canaries
from muse_stream.streams.serving.desk import Reply
from muse_stream.streams.settings.sections import TopicSettings
from muse_stream.streams.wire.answers import Answer, Status, decode_answer
from muse_stream.streams.wire.canary import canary_users
from muse_stream.streams.wire.encode import encode_behaviour, encode_request
from muse_stream.streams.wire.ids import id_of
from muse_stream.streams.wire.requests import NotBefore, RequestValue

log = logging.getLogger(__name__)

ERASE_EVERY = 20
"""Canaries between two erasures: a hundred seconds at the default interval."""
K = 50
"""Above the history that two owners leave between two erasures, each `ERASE_EVERY` long."""
ACTION = 0
"""A code needs no configured name."""
UNKNOWN_ITEM = id_of("muse-stream canary")
"""Stands in where no item has a vector; as a number, since items' texts are the deployment's own."""
DEADLINE_SHARE = 0.9
"""Of the timeout: an answer that says why it is late comes before the canary is given up."""
LOOK_MIN_SECONDS, LOOK_MAX_SECONDS = 0.02, 0.25
"""Between two looks at what is due: a tenth of a short interval, and never so long that rounds bunch up."""
REASONS: Mapping[Status, str] = {
    Status.NOT_READY: "not_ready",
    Status.OVERLOAD: "overload",
    Status.EXPIRED: "expired",
}
"""Why a canary was missed, by the answer's status; others are errors."""

Send = Callable[[str, bytes, bytes | None], Awaitable[Any]]
"""Topic, key and value in; done when the broker has acknowledged, with the record's `partition` and `offset`."""


class Items(Protocol):
    """Where an item with a vector is found; any thread, may wait for a running search."""

    def any_item(self) -> int:
        """An item that has a vector in the space that is served, 0 where none has."""
        ...

    def has_vector(self, item: int) -> bool:
        """Whether an item has one now."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """Times of the canary's settings, in seconds."""

    interval_seconds: float
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class _Round:
    """What was sent, and what the answer must hold."""

    partition: int
    number: int
    request_id: str
    item: int
    time_ms: int
    has_vector: bool


class Canary:
    """Sends canaries and judges their answers. Follows the assignment; all on one event loop.

    Args:
        send: Sends with the producer that also sends the answers.
        topics: Names and number of partitions.
        figures: What is due and what becomes of it.
        items: Where items with vectors are found.
        ready: Whether the copy of a partition may answer.
        bounds: Times.

    """

    def __init__(  # noqa: PLR0917 - what a canary passes through
        self,
        send: Send,
        topics: TopicSettings,
        figures: Canaries,
        items: Items,
        ready: Callable[[int], bool],
        bounds: Bounds,
    ) -> None:
        self._send, self._topics, self._figures = send, topics, figures
        self._items, self._ready, self._bounds = items, ready, bounds
        self._users = canary_users(topics.partitions)
        self._partitions = {user: partition for partition, user in enumerate(self._users)}
        self._rounds: dict[int, _Round] = {}
        self._token = uuid.uuid4().hex[:8]
        self._requests = itertools.count()
        self._suspended = True
        self._troubled: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to send; on the event loop."""
        self._keep(self._run())

    def close(self) -> None:
        """Send no more; rounds that are under way are given up."""
        for task in self._tasks:
            task.cancel()

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Send for exactly these; a canary on its way stays so where the partition does."""
        self._figures.assigned(partitions)
        self._rounds = {at: one for at, one in self._rounds.items() if at in partitions}
        self._troubled &= partitions
        self._suspended = False

    async def suspended(self) -> None:
        """Send nothing until the next assignment."""
        self._suspended = True

    def answered(self, reply: Reply) -> None:
        """Judge an answer of a reserved user, once the broker has it; it may be anybody's."""
        try:
            one = self._rounds.get(self._partitions.get(reply.user, -1))
            if one is not None and one.request_id == reply.request_id:
                del self._rounds[one.partition]
                self._keep(self._judge(one, reply))
        except Exception:
            log.exception("the canary failed at an answer; requests are not affected")

    def _keep(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        pause = min(max(self._bounds.interval_seconds / 10, LOOK_MIN_SECONDS), LOOK_MAX_SECONDS)
        while True:
            try:
                if not self._suspended:
                    self._begin_due()
            except Exception:
                log.exception("the canary failed; requests are not affected")
            await asyncio.sleep(pause)

    def _begin_due(self) -> None:
        for partition, number in self._figures.due(self._ready):
            self._keep(self._round(partition, number))

    async def _round(self, partition: int, number: int) -> None:
        try:
            async with asyncio.timeout(self._bounds.timeout_seconds):
                await self._go(partition, number)
        except (TimeoutError, KafkaError, ProducerSendError) as error:
            self._missed(partition, number, "not_taken", f"the brokers did not take it: {error!r}")
        except Exception:
            log.exception("a canary of partition %d failed; requests are not affected", partition)
            self._missed(partition, number, "error", "see above")

    async def _go(self, partition: int, number: int) -> None:
        user, topics = self._users[partition], self._topics
        item = await asyncio.to_thread(self._items.any_item)
        if number % ERASE_EVERY == 0:
            await self._send(topics.behaviours, user.encode(), None)
        time_ms = int(time.time() * 1e3)
        self._figures.produced(partition, number)
        behaviour = encode_behaviour(user, item or UNKNOWN_ITEM, time_ms, ACTION)
        written = await self._send(topics.behaviours, *behaviour)
        request_id = f"canary-{self._token}-{partition}-{next(self._requests)}"
        one = _Round(partition, number, request_id, item or UNKNOWN_ITEM, time_ms, bool(item))
        self._rounds[partition] = one
        await self._send(topics.requests, *encode_request(user, self._request(one, written.offset)))

    def _request(self, one: _Round, offset: int) -> RequestValue:
        return RequestValue(
            request_id=one.request_id,
            candidates=[one.item],
            k=K,
            want="retrieved",
            explain=not one.has_vector,
            not_before=NotBefore(one.partition, offset),
            deadline_ms=max(1, int(self._bounds.timeout_seconds * 1e3 * DEADLINE_SHARE)),
        )

    async def _judge(self, one: _Round, reply: Reply) -> None:
        try:
            if reply.status is not Status.OK:
                self._missed(one.partition, one.number, REASONS.get(reply.status, "error"), f"answered {reply.status}")
            elif _holds(decode_answer(reply.body), one):
                self._seen(one)
            elif one.has_vector and not await asyncio.to_thread(self._items.has_vector, one.item):
                self._figures.dropped(one.partition, one.number)
            else:
                self._missed(one.partition, one.number, "absent", "the answer is computed and lacks the behaviour")
        except Exception:
            log.exception("the canary of partition %d failed; requests are not affected", one.partition)
            self._missed(one.partition, one.number, "error", "see above")

    def _seen(self, one: _Round) -> None:
        if self._figures.seen(one.partition, one.number) and one.partition in self._troubled:
            self._troubled.discard(one.partition)
            log.info("canaries of partition %d come back again", one.partition)

    def _missed(self, partition: int, number: int, reason: str, why: str) -> None:
        if self._figures.missed(partition, number, reason) and partition not in self._troubled:
            self._troubled.add(partition)
            log.warning("the canary of partition %d was missed, %s: %s", partition, reason, why)


def _holds(answer: Answer, one: _Round) -> bool:
    """Whether an answer shows the behaviour, at the place that its item allows."""
    shown = answer.retrieved or () if one.has_vector else [answer.behaviours] if answer.behaviours else ()
    return any((one.item, one.time_ms) in zip(part.item, part.time_ms, strict=True) for part in shown)
