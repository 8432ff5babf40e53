"""The control topic as the commands use it: read it once, publish, wait for the workers."""

import getpass
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as NotDone
from contextlib import contextmanager

from muse_stream.streams.errors import TopicError, UnreachableError
from muse_stream.streams.models.activating import Author, Outcome, outcomes, settled
from muse_stream.streams.models.control import Activation, Slot
from muse_stream.streams.models.follower import ControlFollower
from muse_stream.streams.models.opening import follow, open_writer
from muse_stream.streams.settings import Settings

READ_SECONDS = 60.0
"""For a topic of some kilobytes; a broker that is away is told after its connection's own ten seconds."""
LOOK_SECONDS = 0.1


def now_ms() -> int:
    """Wall clock, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def author() -> Author:
    """The person at this terminal, now."""
    return Author(f"{getpass.getuser()}@{socket.gethostname()}", now_ms())


@contextmanager
def control(settings: Settings) -> Iterator[ControlFollower]:
    """A follower that has read the topic. Raises `UnreachableError`, `TopicError`: there is no such topic."""
    follower = follow(settings)
    follower.start()
    try:
        _catch_up(follower)
        if follower.topic_missing:
            msg = f"topic {settings.topics.models} does not exist; run muse-stream topics create, then try again"
            raise TopicError(msg)
        yield follower
    finally:
        follower.close()


def publish(settings: Settings, slot: Slot, activation: Activation | None) -> None:
    """Give a slot its activation, or None: empty it. Raises `DeliveryError`, `UnreachableError`."""
    writer = open_writer(settings)
    try:
        if activation is None:
            writer.empty(slot)
        else:
            writer.activate(activation)
    finally:
        writer.close()


def wait_for(
    follower: ControlFollower,
    slot: Slot,
    activation: Activation | None,
    seconds: float,
    told: Callable[[Outcome], None],
) -> list[Outcome]:
    """Wait until every worker that is heard of runs it or has refused, at most `seconds`; each news is told."""
    until = time.monotonic() + seconds
    known: set[Outcome] = set()
    while True:
        found = outcomes(follower.reports(), slot, activation, now_ms())
        for one in found:
            if one not in known and one.state != "stale":
                told(one)
        known.update(found)
        if settled(found) or time.monotonic() > until:
            return found
        time.sleep(LOOK_SECONDS)


def _catch_up(follower: ControlFollower) -> None:
    until = time.monotonic() + READ_SECONDS
    while True:
        try:
            follower.caught_up.result(LOOK_SECONDS)
        except NotDone:
            if follower.trouble is not None or time.monotonic() > until:
                msg = f"the control topic cannot be read: {follower.trouble or 'the brokers give nothing'}"
                raise UnreachableError(msg) from None
        else:
            return
