"""The rules of docs/architecture.md, one record at a time: what a store that has read these records must hold.

    cap         a user's sequence shows the newest `cap` behaviours
    duplicates  a behaviour is dropped when its user and event id are among those of the last `duplicate_window` kept
                behaviours of the partition that have an event id
    erasure     takes the user's behaviours, not the numbers they had
    bad record  changes nothing
    rules       hold from their offset on; what they have removed stays removed

Invariant: the state follows from the records, in order, and the rule changes; memory is 25 bytes per live behaviour and
some hundred bytes per user and per pair of the window.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from muse_stream.state.rules import RuleChange, Rules
from muse_stream.streams.audit.decoding import BEHAVIOUR, Contract, Record, Refused, Row, decode

ROW_BYTES = BEHAVIOUR.size


@dataclass(slots=True)
class History:
    """What a user's sequence must be: packed behaviours, oldest first, and the number that the next one gets."""

    rows: bytearray = field(default_factory=bytearray)
    stop: int = 0

    @property
    def start(self) -> int:
        """Sequence number of the first of `rows`."""
        return self.stop - len(self.rows) // ROW_BYTES

    def append(self, behaviour: bytes) -> None:
        """Give the behaviour the next number."""
        self.rows += behaviour
        self.stop += 1

    def keep(self, count: int) -> None:
        """Let the newest `count` stay."""
        del self.rows[: max(0, len(self.rows) - count * ROW_BYTES)]


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

    def __init__(self, contract: Contract, changes: Iterable[RuleChange]) -> None:
        self.users: dict[int, History] = {}
        self.watermark_ms = 0
        self.counts = Counts()
        self._contract = contract
        self._coming = deque(changes)
        self._rules = Rules()
        self._window: deque[tuple[int, int]] = deque()
        self._members: set[tuple[int, int]] = set()

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
        """Let the rules change that hold from `offset` on or from before it."""
        while self._coming and self._coming[0].offset <= offset:
            self._rules = self._coming.popleft().rules
            self._shorten_window()
            for history in self._histories():
                history.keep(self._rules.cap)

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
            history.append(row.behaviour)
            history.keep(self._rules.cap)

    def _erase(self, user: int) -> None:
        self.users.setdefault(user, History()).keep(0)

    def _remember(self, pair: tuple[int, int]) -> None:
        self._window.append(pair)
        self._members.add(pair)
        self._shorten_window()

    def _shorten_window(self) -> None:
        while len(self._window) > self._rules.duplicate_window:
            self._members.remove(self._window.popleft())
