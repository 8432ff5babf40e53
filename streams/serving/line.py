"""Who is next: deficit round robin over two classes, requests that share passes and giants that fill one alone.

A request is a giant if its work (see `cost`) is above `pass_ms_max`. Others share passes, in the order of arrival;
giants run alone, in the order of arrival. A pass takes others up to `pass_ms_max`, or up to half of those that wait
where that is more and no giant waits: whoever is in the second half would wait for the first in any case, and the
longer the queue, the less of the thread goes to what every pass takes by itself. While both wait, the oldest giant is
taken as soon as the others have had as much time as it needs: each class gets half of the thread, and all of it where
the other has no use for it. A giant is not cut into several passes: its answer is of one moment, and the item tables,
which every candidate is looked up in, are held still within a pass and not between two.

Invariants, of milliseconds of work, tested:

* At most one giant runs between two passes of others, so a request that finds no other of its class ahead waits for
  what is in flight and one giant at most; with `q` ms of its class ahead, for at most `2 q + g` more, `g` being the
  largest giant.
* Before a giant of `g` ms with `n` giants of `q` ms ahead begins, others run for at most `q + g + (n + 1) pass_ms_max`.
* Whoever arrives later takes no time from a request of its own class: what it was promised on arrival is not taken
  back by more than the share of the other class.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request wants of the thread.

    Attributes:
        ms: Work, without a pass's own.
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
        pass_ms_max: Work of the requests of a pass, in milliseconds.
        weight_max: The weight that they may have; a heavier one still runs, alone.
        overhead_ms: Work of a pass by itself, as predicted now.

    """

    def __init__(self, pass_ms_max: float, weight_max: int, overhead_ms: Callable[[], float] = lambda: 0.0) -> None:
        self._pass_ms_max = pass_ms_max
        self._weight_max = weight_max
        self._overhead_ms = overhead_ms
        self._sharing: _Class[Item] = _Class()
        self._giants: _Class[Item] = _Class()
        self._given_ms = 0.0  # to others, since a giant waits

    def __len__(self) -> int:
        return len(self._sharing.waiting) + len(self._giants.waiting)

    def put(self, claim: Claim, item: Item) -> None:
        """Let an item wait."""
        (self._giants if claim.ms > self._pass_ms_max else self._sharing).put(claim, item)

    def wait_ms(self, claim: Claim) -> float:
        """Work that is done before a newcomer's pass begins if nobody came after it, without what is in flight."""
        sharing, giants = self._sharing, self._giants
        if claim.ms > self._pass_ms_max:
            giants_ms, alone = giants.ms, len(giants.waiting)
            sharing_ms = min(sharing.ms, max(0.0, giants.ms + claim.ms - self._given_ms))
            passes = math.ceil(sharing_ms / self._pass_ms_max)
        else:
            sharing_ms, passes = self._before(sharing.ms, claim.ms)
            giants_ms, alone = self._between(self._given_ms + sharing_ms)
        return sharing_ms + giants_ms + self._overhead_ms() * (passes + alone)

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

    def _pass_ms(self, waiting_ms: float) -> float:
        """What the next pass may take of those who share, where so much waits."""
        return self._pass_ms_max if self._giants.waiting else max(self._pass_ms_max, waiting_ms / 2)

    def _before(self, ahead_ms: float, own_ms: float) -> tuple[float, int]:
        """Milliseconds and number of the passes of others before the pass of who comes behind `ahead_ms`."""
        left_ms, passes = ahead_ms + own_ms, 0
        while left_ms > self._pass_ms_max:
            left_ms, passes = left_ms - self._pass_ms(left_ms), passes + 1
        return max(0.0, ahead_ms + own_ms - max(left_ms, own_ms)), passes

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
        ms, weight, bound_ms = 0.0, 0, self._pass_ms(self._sharing.ms)
        while waiting := self._sharing.waiting:
            claim = waiting[0][0]
            ms, weight = ms + claim.ms, weight + claim.weight
            if taken and (ms > bound_ms or weight > self._weight_max):
                break
            taken.append(self._sharing.pop())
            _drop_expired(self._sharing, now, expired)
        return taken


def _drop_expired(each: _Class[Item], now: float, expired: list[Item]) -> None:
    """Move those at the head whose deadline has passed."""
    while each.waiting and each.waiting[0][0].deadline <= now:
        expired.append(each.pop()[1])
