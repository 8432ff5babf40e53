"""What waits although somebody ought to be at work on it, and for how long nothing has moved.

Invariant: time counts only while one look follows another: after a gap (a paused process, brokers that did not answer)
it begins anew, so that nothing is blamed for what it could not do.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """What is looked at: `kind` is one of `monitoring.catalogue.STUCK_KINDS`."""

    kind: str
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work that waits.

    Attributes:
        count: How much; 0 is nothing.
        mark: Changes with every bit of progress.
        text: What waits, for people.

    """

    count: int
    mark: Hashable
    text: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """Work that has waited too long without progress."""

    place: Place
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Seen:
    mark: Hashable
    since: float


class Stalls:
    """Remembers since when each place has not moved.

    Args:
        seconds: Without progress for so long is stuck.
        gap_seconds: Looks further apart than this begin anew.

    """

    def __init__(self, seconds: float, gap_seconds: float) -> None:
        self._seconds, self._gap_seconds = seconds, gap_seconds
        self._seen: dict[Place, _Seen] = {}
        self._looked_at = float("-inf")

    def forget(self) -> None:
        """Begin anew."""
        self._seen = {}

    def moved(self, place: Place) -> None:
        """Begin anew with one place."""
        self._seen.pop(place, None)

    def look(self, found: Mapping[Place, Waiting], now: float) -> list[Stuck]:
        """Take notice of what waits at `now` (seconds, monotonic); returns what is stuck."""
        if now - self._looked_at > self._gap_seconds:
            self.forget()
        self._looked_at = now
        seen = {}
        for place, waiting in found.items():
            before = self._seen.get(place)
            if waiting.count:
                still = before is not None and before.mark == waiting.mark
                seen[place] = before if before and still else _Seen(waiting.mark, now)
        self._seen = seen
        late = {place: now - one.since for place, one in seen.items() if now - one.since >= self._seconds}
        return [Stuck(place, found[place].text, seconds) for place, seconds in late.items()]
