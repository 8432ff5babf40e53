"""A worker of the simulation: the ingest service, driven turn by turn, with a real engine, on a simulated disk.

Invariant: what survives a crash is the disk alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine import GsuEngine, ItemIndex, VectorTable
from muse_stream.gsu_engine.pool import PAGE_BYTES, USER_BYTES
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.opening import PartitionParts
from muse_stream.streams.ingest.ports import LogBounds, Partition
from muse_stream.streams.ingest.questions import LogAnswers
from muse_stream.streams.ingest.service import IngestService
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.rejects import Reject
from muse_stream.streams.wire.users import UserRules, decode_users
from tests.simulation.database import BUDGET, Disks
from tests.simulation.fuse import Fuse
from tests.simulation.log import SimLog, SimReader
from tests.simulation.traffic import BEHAVIOURS, COUNT, USERS

Ints = NDArray[np.int64]
T = TypeVar("T")
BEHAVIOUR_RULES = BehaviourRules(partition_count=COUNT)
USER_RULES = UserRules(partition_count=COUNT)
PASS_SHARE = 0.2
"""Of turns, during which requests are computed."""


class SimClock:
    """Time that moves when somebody sleeps or a step says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def seconds(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1_000)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, event: Event, seconds: float) -> bool:
        """What has not happened does not happen while one worker takes its turn."""
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()


@dataclass
class SimLetters:
    """`DeadLetterSink`: acknowledges at once, or when a step says so.

    Attributes:
        arrived: Dead letters as the brokers have them.

    """

    fuse: Fuse
    arrived: list[Reject]
    at_once: bool = True
    flying: list[tuple[Sequence[Reject], "Future[None]"]] = field(default_factory=list)

    def send(self, rejects: Sequence[Reject]) -> "Future[None]":
        self.fuse.burn("before dead letters")
        future: Future[None] = Future()
        self.flying.append((rejects, future))
        if self.at_once:
            self.land(arrived=True)
        self.fuse.burn("after dead letters")
        return future

    def land(self, *, arrived: bool) -> None:
        """The brokers have them, or refuse them (and have some of them all the same)."""
        flying, self.flying = self.flying, []
        for rejects, future in flying:
            self.arrived += rejects if arrived else rejects[: len(rejects) // 2]
            if arrived:
                future.set_result(None)
            else:
                future.set_exception(TimeoutError("no acknowledgement"))


@dataclass
class TellEngine:
    """`HistorySink` before an engine."""

    engine: GsuEngine
    fuse: Fuse

    def append(self, users: Ints, starts: Ints, bounds: Ints, items: Ints) -> None:
        self.fuse.burn("before the engine appends")
        self.engine.append(users, starts, bounds, items)
        self.fuse.burn("after the engine appends")

    def drop(self, users: Ints) -> None:
        self.fuse.burn("before the engine drops")
        self.engine.drop(users)


@dataclass
class SimAsks:
    """`Asks`: answers at once, or when a step says so with what was true when it was asked."""

    log: SimLog
    wall_ms: Callable[[], int]
    at_once: bool = True
    flying: list[Callable[[], None]] = field(default_factory=list)

    def logs(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        commits = {at: self.log.commits[at] for at in partitions if at in self.log.commits}
        return self._answer(replace(self._found(partitions), committed=commits))

    def look(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        return self._answer(self._found(partitions))

    def ends(self, partitions: Sequence[Partition]) -> "Future[Mapping[Partition, int]]":
        return self._answer({at: self.log.stable(at) for at in partitions})

    def close(self) -> None:
        """Nothing to leave."""

    def _found(self, partitions: Sequence[Partition]) -> LogAnswers:
        log, now = self.log, self.wall_ms()
        return LogAnswers({at: LogBounds(log.begin.get(at, 0), log.stable(at), now) for at in partitions})

    def land(self) -> None:
        """The answers arrive."""
        flying, self.flying = self.flying, []
        for answer in flying:
            answer()

    def _answer(self, found: T) -> "Future[T]":
        future: Future[T] = Future()
        if self.log.away:
            future.set_exception(ConnectionError("the brokers are away"))
        elif self.at_once:
            future.set_result(found)
        else:
            self.flying.append(partial(future.set_result, found))
        return future


class StoreHistory:
    """`HistorySource` over one store."""

    def __init__(self, store: BehaviourStore) -> None:
        self._store = store

    def items(self, user: int) -> tuple[int, Ints]:
        found = self._store.sequence(user)
        return found.start, np.ascontiguousarray(found.rows["item"])


@dataclass
class Surroundings:
    """What all workers share, and outlives them."""

    log: SimLog
    disks: Disks
    clock: SimClock = field(default_factory=SimClock)
    letters: list[Reject] = field(default_factory=list)
    crashes: Counter[str] = field(default_factory=Counter)


class SimWorker:
    """One process from start to end."""

    def __init__(self, around: Surroundings, home: Path, rules: Rules, pool_pages: int) -> None:
        self.home, self.rules, self.fuse = home, rules, Fuse(around.crashes)
        self._around = around
        self.letters = SimLetters(self.fuse, around.letters)
        self.reader: SimReader | None = None
        index = ItemIndex(1_000)
        table = VectorTable("v", 64, index, 1 << 12)
        pool_bytes = pool_pages * (PAGE_BYTES + USER_BYTES)
        self.engine = GsuEngine(table, cap=rules.cap, pool_bytes=pool_bytes, backend="reference")
        time = around.clock
        clock = Clock(time.seconds, time.wall_ms, time.sleep, time.seconds, time.wait)
        self.asks = SimAsks(around.log, clock.wall_ms)
        self.service = IngestService(self._parts(), self._make_reader, self.letters, clock=clock, asks=self.asks)

    def turn(self, dice: Random, most: int) -> None:
        """Take commands, poll once, store; while a pass runs or not."""
        if self.reader:
            self.reader.dice, self.reader.most = dice, most
        with self.service.courtesy if dice.random() < PASS_SHARE else nullcontext():
            self.service._take_commands(0.0)
            self.service._turn()

    def assign(self, serving: Iterable[int], standby: Iterable[int]) -> "Future[None]":
        """Give it partitions; it hears of them at its next turn."""
        return self.service.assign(serving, standby)

    def stop(self) -> None:
        """Stop in order."""
        self.service._end()

    def warm(self, partition: int, user: int) -> None:
        """What a request does: make a user resident."""
        if partition in self.service.stores.partitions():
            with self.service.stores.lease(partition) as store:
                assert isinstance(store, BehaviourStore)
                self.engine.prefetch(user, StoreHistory(store))

    def _make_reader(self) -> SimReader:
        self.fuse.burn("before connecting")
        self.reader = SimReader(self._around.log, self.fuse)
        return self.reader

    def _parts(self) -> PartitionParts:
        return PartitionParts(
            behaviours=BEHAVIOURS,
            users=USERS,
            open_store=self._open_store,
            decode_behaviours=self._decode,
            decode_users=partial(decode_users, rules=USER_RULES),
            engine=TellEngine(self.engine, self.fuse),
            start_at_log_start=True,
        )

    def _decode(self, records: RecordBatch) -> tuple[BehaviourBatch, list[Reject]]:
        self.fuse.burn("before decoding")
        decoded = decode_behaviours(records, BEHAVIOUR_RULES)
        self.fuse.burn("after decoding")
        return decoded

    def _open_store(self, partition: int, start: int) -> BehaviourStore:
        self.fuse.burn("before opening")
        path, identity = self.home / f"behaviours-{partition}", StoreIdentity("cluster", BEHAVIOURS, partition, COUNT)
        return BehaviourStore.open(path, identity, self.rules, budget=BUDGET, start_position=start or None)
