"""The running mode without its clients: records in, verdicts out, some users only.

An answer is taken up when the logs have reached its moment and it has waited for `hold_seconds`. Histories and profiles
are then looked up as they were (`sampled.py`). Items move on with the answers, in the order of their items positions
(`held.py`); the hold is what lets an answer that comes a little later, of an earlier items position, be placed before.

Invariant: every computed answer of a sampled user comes out once, as a verdict or with a reason; nothing is compared on
a moment that is not exactly its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from muse_stream.streams.export.past import Seen
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.serving.features import in_share_each
from muse_stream.streams.settings.sections import TopicSettings
from muse_stream.streams.verify.compare import Verdict, compare
from muse_stream.streams.verify.exchanges import Exchange, computed
from muse_stream.streams.verify.held import HeldItems
from muse_stream.streams.verify.reasons import Unknown
from muse_stream.streams.verify.rebuild import Rebuilder
from muse_stream.streams.verify.sampled import SampledPartition
from muse_stream.streams.verify.waiting import Waiting, WaitingRoom
from muse_stream.streams.wire.answers import Answer
from muse_stream.streams.wire.ids import parse_keys

Partition = tuple[str, int]
PATIENCE_HOLDS = 5
"""An answer whose request, or whose part of the log, has not come after so many holds is given up."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where the process had read everything, and began with answers.

    Attributes:
        items: Position of the items log.
        users: Position of the users log, by partition.
        cut: Partitions whose behaviours log has lost its beginning.

    """

    items: int
    users: Mapping[int, int]
    cut: frozenset[int]


@dataclass(frozen=True, slots=True)
class State:
    """What the running mode holds.

    Attributes:
        topics: Names.
        partitions: By number.
        items: The items log.
        room: Answers that wait.
        rebuilder: Computes answers again, over the tables of `items`.

    """

    topics: TopicSettings
    partitions: Mapping[int, SampledPartition]
    items: HeldItems
    room: WaitingRoom
    rebuilder: Rebuilder


class LiveVerifier:
    """Takes records in, and answers up when their time has come."""

    def __init__(self, state: State, share: float, hold_seconds: float) -> None:
        self._state, self._share, self._hold_seconds = state, share, hold_seconds
        self._start: Start | None = None

    @property
    def waiting(self) -> WaitingRoom:
        """Answers that wait."""
        return self._state.room

    def read_before(self, records: RecordBatch) -> None:
        """Take records of the state's own logs before the start."""
        self.read(records, 0.0)
        if records.topic == self._state.topics.items:
            self._state.items.reach(records.next_offset)

    def begin(self, cut: Iterable[int]) -> None:
        """The logs have been read to their ends: answers may come."""
        users = {number: one.users_position for number, one in self._state.partitions.items()}
        self._start = Start(self._state.items.applied, users, frozenset(cut))

    def read(self, records: RecordBatch, now: float) -> list[Unknown]:
        """Take the next records of any topic; reasons of answers that cannot be taken in."""
        topics, state = self._state.topics, self._state
        if records.topic == topics.behaviours:
            state.partitions[records.partition].behaviours(records)
        elif records.topic == topics.users:
            state.partitions[records.partition].users(records)
        elif records.topic == topics.items:
            state.items.take(records, now)
        elif records.topic == topics.requests:
            for key, value in self._mine(records):
                state.room.request(key, value, now)
        else:
            return [reason for key, value in self._mine(records) if (reason := self._answer(key, value, now))]
        return []

    def turn(self, now: float, ends: Mapping[Partition, int]) -> Iterator[Verdict | Unknown]:
        """Take up what can be taken up.

        Args:
            now: The clock of `read`.
            ends: Where the logs end, as far as that is known.

        """
        room, items = self._state.room, self._state.items
        due, gone, early = self._sorted(now, ends)
        room.leave([*due, *(one for one, _ in gone)])
        yield from (reason for _, reason in gone)
        for one in due:
            yield from self._place(one)
        yield from self._compute()
        floor = min((one.answer.positions.items for one in early if one.answer.positions), default=None)
        items.let_go(now - self._hold_seconds, floor)
        room.forget(now)

    def end(self) -> list[Unknown]:
        """Nothing more comes: what becomes of those that wait."""
        left = list(self._state.room)
        self._state.room.leave(left)
        return [Unknown.ENDED for _ in left]

    def _sorted(
        self, now: float, ends: Mapping[Partition, int]
    ) -> tuple[list[Waiting], list[tuple[Waiting, Unknown]], list[Waiting]]:
        """Those whose time has come, in the order of their items; those that will never; and those that wait on."""
        ready, gone, early = [], [], []
        for one in self._state.room:
            patient = now - one.came < PATIENCE_HOLDS * self._hold_seconds
            found = self._ready(one, ends)
            if isinstance(found, Unknown) and not patient:
                gone.append((one, found))
            elif found is True:
                ready.append(one)
            else:
                early.append(one)
        floor = min((_items(one) for one in early), default=2**63)
        limit = max((_items(one) for one in ready if now - one.came >= self._hold_seconds), default=-1)
        due = [one for one in ready if _items(one) <= min(limit, floor)]
        early += [one for one in ready if _items(one) > min(limit, floor)]
        return sorted(due, key=_items), gone, early

    def _ready(self, one: Waiting, ends: Mapping[Partition, int]) -> bool | Unknown:
        """Whether request and logs are there; a reason while it looks as if they never were."""
        exchange = self._state.room.join(one)
        if isinstance(exchange, Unknown):
            return exchange
        partition = self._state.partitions.get(exchange.partition)
        if partition is None:
            return Unknown.BEYOND_LOG
        at, topics = exchange.positions, self._state.topics
        reached = [
            ((topics.behaviours, exchange.partition), at.behaviours.offset, partition.position),
            ((topics.users, exchange.partition), at.users, partition.users_position),
            ((topics.items, 0), at.items, self._state.items.read),
        ]
        if all(wanted <= position for _, wanted, position in reached):
            return True
        beyond = any(wanted > max(ends.get(where, 0), position) for where, wanted, position in reached)
        return Unknown.BEYOND_LOG if beyond else False

    def _place(self, one: Waiting) -> Iterator[Verdict | Unknown]:
        """Bring the state to the answer's moment, and let it be computed with the others there."""
        exchange, rebuilder, items = one.exchange, self._state.rebuilder, self._state.items
        if exchange is None:
            return
        seen = self._see(exchange)
        if isinstance(seen, Unknown):
            yield seen
            return
        if items.changes_before(exchange.positions.items):
            yield from self._compute()
            items.reach(exchange.positions.items)
        if not rebuilder.takes(exchange, seen):
            yield from self._compute()
        rebuilder.add(exchange, seen)

    def _see(self, exchange: Exchange) -> Seen | Unknown:
        at, start = exchange.positions, self._start
        if start is None or at.items < start.items or at.users < start.users[exchange.partition]:
            return Unknown.BEFORE_START
        if exchange.partition in start.cut:
            return Unknown.LOG_BEGINS_LATER
        if self._state.items.is_past(at.items):
            return Unknown.PASSED
        if not self._state.rebuilder.knows(exchange):
            return Unknown.SPACE_UNKNOWN
        return self._state.partitions[exchange.partition].see(exchange.request.user, at.behaviours.offset, at.users)

    def _compute(self) -> Iterator[Verdict]:
        for exchange, rebuilt in self._state.rebuilder.compute():
            yield compare(exchange, rebuilt)

    def _mine(self, records: RecordBatch) -> list[tuple[bytes, bytes]]:
        """Keys and values of sampled users' records."""
        rows = np.flatnonzero(in_share_each(parse_keys(records.keys).id, self._share)).tolist()
        pairs = ((records.keys[row], records.values[row]) for row in rows)
        return [(key, value) for key, value in pairs if key is not None and value is not None]

    def _answer(self, key: bytes, value: bytes, now: float) -> Unknown | None:
        found = computed(value)
        return self._state.room.answer(key, found, len(value), now) if isinstance(found, Answer) else None


def _items(one: Waiting) -> int:
    return one.answer.positions.items if one.answer.positions else 0
