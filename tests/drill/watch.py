"""Which alerts fire, look by look.

Invariant: an alert that comes back after it had gone has not resolved: what counts is the last time that it was seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.drill.verdict import Episode, Key
from tests.live.query import Alert


@dataclass
class _Seen:
    first: float
    last: float
    gone: float | None = None


@dataclass
class AlertWatch:
    """Looks of one fault, at times of one clock.

    Attributes:
        began: When the fault was made.
        repaired: When it was repaired; None: not yet.

    """

    began: float
    repaired: float | None = None
    _seen: dict[Key, _Seen] = field(default_factory=dict)

    def look(self, now: float, firing: Iterable[Alert]) -> None:
        """Note what fires now; the same alert on several targets is one."""
        keys = {(alert.name, alert.labels.get("severity", "none")) for alert in firing}
        for key in keys:
            seen = self._seen.setdefault(key, _Seen(now, now))
            seen.last, seen.gone = now, None
        for key, seen in self._seen.items():
            if key not in keys and seen.gone is None:
                seen.gone = now

    def fired(self) -> set[Key]:
        """All alerts that were seen."""
        return set(self._seen)

    def firing(self) -> set[Key]:
        """Those that the last look found."""
        return {key for key, seen in self._seen.items() if seen.gone is None}

    def episodes(self) -> list[Episode]:
        """In the order in which they fired."""
        ordered = sorted(self._seen.items(), key=lambda pair: pair[1].first)
        return [Episode(*key, one.first - self.began, self._resolved(one)) for key, one in ordered]

    def _resolved(self, seen: _Seen) -> float | None:
        if seen.gone is None or self.repaired is None:
            return None
        return seen.gone - self.repaired
