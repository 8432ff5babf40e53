"""The model where the log no longer reaches back to what the store began with: the end of each sequence.

What came before is not known: neither the numbers that were given, nor which event ids the duplicate window held, nor
the latest broker time. So a row is *sure* when it must be in the store whatever came before, and may be missing there
otherwise. Sure is a row without event id, and one whose pair (user, event id) was not among the last 2 W distinct
pairs, once so many were seen: of 2 W distinct pairs at most W can have been refused for what came before them, so W
were kept, and what the window held before them has left it. A row that has expired by the broker times of this part of
the log is not sure: it may have arrived later, if a later time had come before. So arrivals are not compared either.

Invariant: a store that follows the rules is never called wrong, whatever the part of the log was that is gone.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from muse_stream.state.rules import RuleChange
from muse_stream.streams.audit.decoding import BEHAVIOUR, Contract, Row
from muse_stream.streams.audit.model import ROW_BYTES, History, PartitionModel


@dataclass(slots=True)
class Ending(History):
    """The end of a user's sequence.

    Attributes:
        sure: Per row, 1 where the store must have it.
        whole: Nothing older is left: the user was erased in this part of the log.

    """

    sure: bytearray = field(default_factory=bytearray)
    whole: bool = False

    def keep(self, count: int) -> None:
        """Let the newest `count` stay; with rows that may be missing, older ones may be there as well."""
        surplus = len(self.sure) - count
        if surplus > 0:
            self.whole = self.whole and all(self.sure)
            del self.sure[:surplus], self.rows[: surplus * ROW_BYTES]

    def expire(self, oldest: int) -> None:
        """What arrived before `oldest`, as far as this part of the log tells, may be missing."""
        count = self.before(oldest)
        self.sure[:count] = bytes(count)

    def matches(self, found: bytes) -> bool:
        """Whether packed behaviours can be what the store holds: from the newest on, every sure row in its place."""
        left = {len(found) // ROW_BYTES}
        for at in range(len(self.sure) - 1, -1, -1):
            row = _behaviour(self.rows, at)
            taken = {count - 1 for count in left if count and _behaviour(found, count - 1) == row}
            left = taken if self.sure[at] else taken | left
            if not left:
                return False
        return 0 in left if self.whole else True


def _behaviour(rows: bytes | bytearray, place: int) -> bytes:
    return bytes(rows[place * ROW_BYTES : place * ROW_BYTES + BEHAVIOUR.size])


class SuffixModel(PartitionModel):
    """One partition's store as its end must be."""

    def __init__(self, contract: Contract, changes: Iterable[RuleChange], undated_until: int = 0) -> None:
        changes = list(changes)
        super().__init__(contract, changes, undated_until)
        self.endings: dict[int, Ending] = {}
        self._reach = 2 * max((change.rules.duplicate_window for change in changes), default=0)
        self._seen: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._settled = self._reach == 0

    def _histories(self) -> Iterable[History]:
        return self.endings.values()

    def _take(self, row: Row) -> None:
        ending = self.endings.setdefault(row.user, Ending())
        if row.behaviour is None:
            self.counts.erasures += 1
            self.endings[row.user] = Ending(whole=True)
            return
        sure = not row.event_id or self._is_new((row.user, row.event_id))
        self.counts.behaviours += 1
        ending.sure.append(sure)
        ending.append(row.behaviour, self.now)
        ending.keep(self._rules.cap)

    def _is_new(self, pair: tuple[int, int]) -> bool:
        new = pair not in self._seen and self._settled
        self._seen[pair] = None
        self._seen.move_to_end(pair)
        while len(self._seen) > self._reach:
            self._seen.popitem(last=False)
            self._settled = True
        return new
