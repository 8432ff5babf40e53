"""Stage times of a request or a batch of requests.

Invariant: stages follow one another without gaps: each `mark` closes the stage since the last one, so they add up to
the whole; whoever hands a request on hands its clock on.
"""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class StageClock:
    """Seconds per stage since `started`, on the monotonic clock."""

    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.started

    def mark(self, stage: str) -> None:
        """End `stage` now; the next one begins."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    def elapsed(self) -> float:
        """Seconds since `started`, whatever has been marked."""
        return time.perf_counter() - self.started

    def milliseconds(self) -> dict[str, float]:
        """Stage -> milliseconds, to a microsecond."""
        return {stage: round(seconds * 1e3, 3) for stage, seconds in self.seconds.items()}
