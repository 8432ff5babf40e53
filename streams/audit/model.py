"""The rules of docs/architecture.md, one record at a time: what a store that has read these records must hold.

    cap         a user's sequence shows the newest `cap` behaviours
    age         and of them those that arrived at most `ttl_seconds` before the partition's latest broker time, both in
                whole seconds; a behaviour arrived when that time was its record's, or a later one that had come before
    duplicates  a behaviour is dropped when its user and event id are among those of the last `duplicate_window` kept
                behaviours of the partition that have an event id
    erasure     takes the user's behaviours, not the numbers they had
    bad record  changes nothing
    rules       hold from their offset on; what they have removed stays removed

Behaviours from before an offset that the store names (`undated_until`) count as arrived at that offset: the store was
converted there from a layout that kept no arrivals.

Invariant: the state follows from the records, in order, and the rule changes; memory is 29 bytes per behaviour (those
that expired of users who did nothing since included) and some hundred bytes per user and per pair of the window.
"""

import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import RuleChange, Rules
from muse_stream.streams.audit.decoding import BEHAVIOUR, Contract, Record, Refused, Row, decode

ARRIVAL = struct.Struct("<I")
ROW_BYTES = BEHAVIOUR.size + ARRIVAL.size
LATEST_ARRIVAL = 2**32 - 1


@dataclass(slots=True)
class History:
    """What a user's sequence must be: packed behaviours with arrivals, oldest first, and the next one's number."""

    rows: bytearray = field(default_factory=bytearray)
    stop: int = 0

    @property
    def start(self) -> int:
        """Sequence number of the first of `rows`."""
        return self.stop - len(self.rows) // ROW_BYTES

    def append(self, behaviour: bytes, arrived: int) -> None:
        """Give the behaviour the next number."""
        self.rows += behaviour + ARRIVAL.pack(arrived)
        self.stop += 1

    def keep(self, count: int) -> None:
        """Let the newest `count` stay."""
        del self.rows[: max(0, len(self.rows) - count * ROW_BYTES)]

    def expire(self, oldest: int) -> None:
        """Let those stay that arrived at `oldest` or later."""
        del self.rows[: self.before(oldest) * ROW_BYTES]

    def before(self, oldest: int) -> int:
        """How many arrived before `oldest`."""
        count = 0
        while count * ROW_BYTES < len(self.rows) and self.arrival(count) < oldest:
            count += 1
        return count

    def arrival(self, place: int) -> int:
        """When the behaviour at `place` arrived, in seconds."""
        found: int = ARRIVAL.unpack_from(self.rows, place * ROW_BYTES + BEHAVIOUR.size)[0]
        return found

    def date(self, arrived: int) -> None:
        """All of them arrived then."""
        for place in range(len(self.rows) // ROW_BYTES):
            ARRIVAL.pack_into(self.rows, place * ROW_BYTES + BEHAVIOUR.size, arrived)


@dataclass(slots=True)
class Counts:
    """What the records were."""

    records: int = 0
    rejected: int = 0
    behaviours: int = 0
    duplicates: int = 0
    erasures: int = 0


class PartitionModel:
    """One partition's store as it must be.

    Attributes:
        users: History per user that was ever heard of.
        watermark_ms: Largest broker time of a record that was not rejected.
        rejected: Offsets of records that the contract refuses.
        counts: What the records were.

    """

    def __init__(self, contract: Contract, changes: Iterable[RuleChange], undated_until: int = 0) -> None:
        self.users: dict[int, History] = {}
        self.watermark_ms = 0
        self.counts = Counts()
        self._contract = contract
        self._coming = deque(changes)
        self._undated_until = undated_until
        self._rules = Rules()
        self._window: deque[tuple[int, int]] = deque()
        self._members: set[tuple[int, int]] = set()

    @classmethod
    def after(cls, beginning: StoreReader, contract: Contract, changes: Iterable[RuleChange]) -> "PartitionModel":
        """What `beginning` holds, as if the records that it was built from had been fed; `changes` come after it."""
        model = cls(contract, changes)
        model.watermark_ms = beginning.watermark_ms
        model._rules = beginning.rules[-1].rules
        for user, event_id in beginning.window().tolist():
            model._remember((user, event_id))
        for user in beginning.users().tolist():
            found = beginning.sequence(user)
            model.users[user] = History(bytearray(found.rows.tobytes()), found.stop)
        return model

    def feed(self, record: Record) -> bool:
        """Take in the next committed record; whether the contract accepts it."""
        self.reach(record.offset)
        self.counts.records += 1
        try:
            rows = decode(record, self._contract)
        except Refused:
            self.counts.rejected += 1
            return False
        self.watermark_ms = max(self.watermark_ms, record.broker_time_ms)
        for row in rows:
            self._take(row)
        return True

    def reach(self, offset: int) -> None:
        """Let happen what happens before the record at `offset`: conversion, rule changes."""
        while self._coming and self._coming[0].offset <= offset:
            self._convert(self._coming[0].offset)
            self._expire()
            self._rules = self._coming.popleft().rules
            self._shorten_window()
            for history in self._histories():
                history.keep(self._rules.cap)
            self._expire()
        self._convert(offset)

    def finish(self, position: int) -> None:
        """All records before `position` have been fed: bring everything to that moment."""
        self.reach(position)
        self._expire()

    @property
    def now(self) -> int:
        """The latest broker time in whole seconds, as behaviours say when they arrived."""
        return min(self.watermark_ms // 1_000, LATEST_ARRIVAL)

    def _convert(self, offset: int) -> None:
        if 0 < self._undated_until <= offset:
            self._undated_until = 0
            for history in self._histories():
                history.date(self.now)

    def _expire(self) -> None:
        if self._rules.ttl_seconds is not None:
            for history in self._histories():
                history.expire(self.now - self._rules.ttl_seconds)

    def _histories(self) -> Iterable[History]:
        return self.users.values()

    def _take(self, row: Row) -> None:
        if row.behaviour is None:
            self.counts.erasures += 1
            self._erase(row.user)
        elif row.event_id and (row.user, row.event_id) in self._members:
            self.counts.duplicates += 1
        else:
            self.counts.behaviours += 1
            if row.event_id:
                self._remember((row.user, row.event_id))
            history = self.users.setdefault(row.user, History())
            history.append(row.behaviour, self.now)
            history.keep(self._rules.cap)
            if self._rules.ttl_seconds is not None:
                history.expire(self.now - self._rules.ttl_seconds)

    def _erase(self, user: int) -> None:
        self.users.setdefault(user, History()).keep(0)

    def _remember(self, pair: tuple[int, int]) -> None:
        self._window.append(pair)
        self._members.add(pair)
        self._shorten_window()

    def _shorten_window(self) -> None:
        while len(self._window) > self._rules.duplicate_window:
            self._members.remove(self._window.popleft())
