"""Which copies may answer: those that have caught up, and within a bound those that have not, marked so.

Invariants: what asks for a moment of its own (`not_before`) is never answered from a copy that is not current; how late
a copy is, is learnt before it is read, so an answer is never later than it says; a copy that is later than its bound
when it is read does not answer, however it stood when the request was let in.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf
from typing import Protocol

from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.serving import answers
from muse_stream.streams.serving.pipeline import Ask, Found
from muse_stream.streams.wire.answers import Answer, Status
from muse_stream.streams.wire.ids import is_reserved

READY_POLL_SECONDS = 0.01
"""A request for a partition that is catching up looks again this often; an answer takes about as long."""
CURRENT_SECONDS = 15.0
"""An owner's copy that is later than this is marked in its answers. Ends of logs are asked for once a second, so the
brokers have not been heard of for many questions, or reading is far behind; `monitoring.lag` draws the same line."""


class Copies(Protocol):
    """Where this worker's copies of the partitions stand."""

    def serves(self, partition: int) -> bool:
        """Whether this worker is the owner."""
        ...

    def ready(self, partition: int) -> bool:
        """Whether the owner's copy has reached the end of the log as read at its assignment, and is not too late."""
        ...

    def note_request(self) -> None:
        """A request is being served: what else goes on is to leave room for it."""
        ...

    def stands_in(self, partition: int) -> bool:
        """Whether nobody owns the partition, in a rebalance, and this worker did before."""
        ...

    def late_seconds(self, partition: int) -> float:
        """How long ago something was written that the copy lacks, at most; infinity where there is no copy."""
        ...

    async def passed(self, partition: int, offset: int, seconds: float) -> bool:
        """Whether the behaviours record at `offset` is in the copy, waiting at most so long."""
        ...


class LateCopyError(Exception):
    """The copy was later than its bound when it was read."""


class Readiness:
    """Lets asks in, and says of what was found how late it is.

    Args:
        copies: Of this worker.
        ready_wait_ms: So long a request waits for a copy that is catching up.
        stale_max_seconds: A copy that is not current answers if it is not later than this; 0: never.

    """

    def __init__(self, copies: Copies, ready_wait_ms: int, stale_max_seconds: float) -> None:
        self._copies, self._wait_seconds, self._stale_max = copies, ready_wait_ms / 1e3, stale_max_seconds

    async def admit(self, ask: Ask) -> Ask | Answer:
        """The ask once the copy may answer it, or the answer that says why it may not.

        Raises PartitionNotHereError: the partition is not ours any more, and nothing here may stand in for its owner.
        """
        before = ask.request.not_before
        while True:
            admitted = await self._caught_up(ask)
            if before is None or isinstance(admitted, Answer):
                return admitted
            if await self._copies.passed(ask.partition, before.offset, max(0.0, ask.deadline - time.perf_counter())):
                return admitted
            if self._copies.ready(ask.partition):  # else the copy was given up, and the next round says what that means
                message = f"offset {before.offset} of partition {ask.partition} did not arrive before the deadline"
                return answers.refused(ask.request, Status.NOT_READY, "not_before", message)

    async def _caught_up(self, ask: Ask) -> Ask | Answer:
        patience = min(ask.deadline, time.perf_counter() + self._wait_seconds)
        while not self._copies.ready(ask.partition):
            if self._may_be_late(ask):
                return replace(ask, late_max_seconds=self._stale_max)
            if not self._copies.serves(ask.partition):
                raise PartitionNotHereError(ask.partition, [])
            if time.perf_counter() >= patience:
                return catching_up(ask)
            await asyncio.sleep(READY_POLL_SECONDS)
        if not is_reserved(ask.request.user_text):
            self._copies.note_request()
        return ask

    def _may_be_late(self, ask: Ask) -> bool:
        copies, at = self._copies, ask.partition
        if not self._stale_max or ask.request.not_before is not None:
            return False
        ours = copies.serves(at) or (ask.may_stand_in and copies.stands_in(at))
        return ours and copies.late_seconds(at) <= self._stale_max

    def late(self, asks: Iterable[Ask]) -> Mapping[int, float]:
        """How late the asks' copies are now, by partition; to be asked before they are read."""
        return {partition: self._copies.late_seconds(partition) for partition in {ask.partition for ask in asks}}

    @staticmethod
    def judged(ask: Ask, found: Found | Exception, seconds: float) -> Found | Exception:
        """What was found, marked where its copy was not current when it was so late; LateCopyError: too late."""
        if not isinstance(found, Found):
            return found
        if ask.late_max_seconds is None:  # infinity: the partition has just left, and what was current was read
            return replace(found, stale_seconds=seconds) if CURRENT_SECONDS < seconds < inf else found
        return replace(found, stale_seconds=seconds) if seconds <= ask.late_max_seconds else LateCopyError()


def catching_up(ask: Ask) -> Answer:
    """Ask again: the copy is not there yet."""
    message = f"partition {ask.partition} is still catching up here; ask again"
    return answers.refused(ask.request, Status.NOT_READY, "catching_up", message)
