"""Who is next: deficit round robin over two classes, requests that share passes and giants that fill one alone.

A request is a giant if its predicted cost is above `pass_ms_max`. Others share passes of up to `pass_ms_max`, in the
order of arrival; giants run alone, in the order of arrival. While both wait, the oldest giant is taken as soon as the
others have had as much time as it needs: each class gets half of the thread, and all of it where the other has no use
for it. A giant is not cut into several passes: its answer is of one moment, and the item tables, which every candidate
is looked up in, are held still within a pass and not between two.

Invariants, of predicted milliseconds, tested:

* At most one giant runs between two passes of others, so a request that finds no other of its class ahead waits for
  what is in flight and one giant at most; with `q` ms of its class ahead, for at most `2 q + g` more, `g` being the
  largest giant.
* Before a giant of `g` ms with `n` giants of `q` ms ahead begins, others run for at most `q + g + (n + 1) pass_ms_max`.
* Whoever arrives later takes no time from a request of its own class: what it was promised on arrival is not taken
  back by more than the share of the other class.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request wants of the thread.

    Attributes:
        ms: Predicted cost, without a pass's own.
        weight: What it counts towards a pass's `weight_max`: candidates.
        deadline: Not worth beginning later, in seconds of the caller's clock.

    """

    ms: float
    weight: int
    deadline: float = math.inf


Item = TypeVar("Item")


class _Class(Generic[Item]):
    """Those of one class, in the order of arrival."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Claim, Item]] = deque()
        self.ms = 0.0

    def put(self, claim: Claim, item: Item) -> None:
        self.waiting.append((claim, item))
        self.ms += claim.ms

    def pop(self) -> tuple[Claim, Item]:
        first = self.waiting.popleft()
        self.ms = self.ms - first[0].ms if self.waiting else 0.0
        return first


class Line(Generic[Item]):
    """What waits for a pass.

    Args:
        pass_ms_max: Predicted milliseconds that the requests of a pass may take together.
        weight_max: The weight that they may have; a heavier one still runs, alone.

    """

    def __init__(self, pass_ms_max: float, weight_max: int) -> None:
        self._pass_ms_max = pass_ms_max
        self._weight_max = weight_max
        self._sharing: _Class[Item] = _Class()
        self._giants: _Class[Item] = _Class()
        self._given_ms = 0.0  # to others, since a giant waits

    def __len__(self) -> int:
        return len(self._sharing.waiting) + len(self._giants.waiting)

    def put(self, claim: Claim, item: Item) -> None:
        """Let an item wait."""
        self._class_of(claim).put(claim, item)

    def wait_ms(self, claim: Claim, overhead_ms: float) -> float:
        """How long a newcomer would wait for its pass to begin if nobody came after it, without what is in flight.

        Args:
            claim: Its claim.
            overhead_ms: What a pass takes by itself.

        """
        sharing, giants = self._sharing, self._giants
        if claim.ms > self._pass_ms_max:
            giants_ms, alone = giants.ms, len(giants.waiting)
            sharing_ms = min(sharing.ms, max(0.0, giants.ms + claim.ms - self._given_ms))
        else:
            passes_ahead = max(0, self._passes(sharing.ms + claim.ms) - 1)
            sharing_ms = min(sharing.ms, passes_ahead * self._pass_ms_max)
            giants_ms, alone = self._between(self._given_ms + sharing_ms)
        return sharing_ms + giants_ms + overhead_ms * (self._passes(sharing_ms) + alone)

    def take(self, now: float) -> tuple[list[tuple[Claim, Item]], list[Item]]:
        """Take those of the next pass, and those met on the way whose deadline has passed at `now` seconds."""
        expired: list[Item] = []
        for each in (self._sharing, self._giants):
            _drop_expired(each, now, expired)
        giants = self._giants
        if not giants.waiting:
            self._given_ms = 0.0
        elif not self._sharing.waiting or self._given_ms >= giants.waiting[0][0].ms:
            self._given_ms = 0.0
            return [giants.pop()], expired
        taken = self._take_sharing(now, expired)
        if giants.waiting:
            self._given_ms += sum(claim.ms for claim, _ in taken)
        return taken, expired

    def clear(self) -> list[Item]:
        """Take all that wait."""
        everybody = [item for each in (self._sharing, self._giants) for _, item in each.waiting]
        self._sharing, self._giants = _Class(), _Class()
        return everybody

    def _class_of(self, claim: Claim) -> _Class[Item]:
        return self._giants if claim.ms > self._pass_ms_max else self._sharing

    def _passes(self, sharing_ms: float) -> int:
        return math.ceil(sharing_ms / self._pass_ms_max)

    def _between(self, due_ms: float) -> tuple[float, int]:
        """Milliseconds and number of the giants that run while others are given so much."""
        giants_ms, number = 0.0, 0
        for claim, _ in self._giants.waiting:
            if giants_ms + claim.ms > due_ms:
                break
            giants_ms, number = giants_ms + claim.ms, number + 1
        return giants_ms, number

    def _take_sharing(self, now: float, expired: list[Item]) -> list[tuple[Claim, Item]]:
        taken: list[tuple[Claim, Item]] = []
        ms, weight = 0.0, 0
        while waiting := self._sharing.waiting:
            claim = waiting[0][0]
            ms, weight = ms + claim.ms, weight + claim.weight
            if taken and (ms > self._pass_ms_max or weight > self._weight_max):
                break
            taken.append(self._sharing.pop())
            _drop_expired(self._sharing, now, expired)
        return taken


def _drop_expired(each: _Class[Item], now: float, expired: list[Item]) -> None:
    """Move those at the head whose deadline has passed."""
    while each.waiting and each.waiting[0][0].deadline <= now:
        expired.append(each.pop()[1])
