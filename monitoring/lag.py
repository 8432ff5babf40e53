"""How late a partition is, in seconds, at the moment somebody asks.

Invariant: 0 while everything is read and the end of the log is known; grows by one second per second while the consumer
stands still or the end cannot be learnt; never below the true age of the oldest unread record (clocks aside).

Histograms of delays fall silent when a consumer stops; this does not.
"""

from collections.abc import Iterable

from muse_stream.monitoring.readings import LagReading

END_STALE_MS = 15_000
"""An end older than this is no longer the end: many refreshes of a healthy consumer, one usual scrape interval."""


class LagClock:
    """Turns lag readings into seconds; remembers per partition when it was last seen caught up."""

    def __init__(self) -> None:
        self._caught_up_ms: dict[tuple[str, int], int] = {}

    def seconds(self, readings: Iterable[LagReading], now_ms: int) -> list[float]:
        """Return the lag of each reading; partitions that are not among them are forgotten."""
        readings = list(readings)
        present = {(reading.topic, reading.partition) for reading in readings}
        self._caught_up_ms = {key: at for key, at in self._caught_up_ms.items() if key in present}
        return [self._one(reading, now_ms) for reading in readings]

    def _one(self, reading: LagReading, now_ms: int) -> float:
        key = (reading.topic, reading.partition)
        seen_ms = now_ms if reading.end_seen_ms is None else reading.end_seen_ms
        if not reading.messages:
            self._caught_up_ms[key] = seen_ms
            stale = now_ms - seen_ms > END_STALE_MS
            return (now_ms - seen_ms) / 1000 if stale else 0.0
        bounds = [reading.unread_since_ms, self._caught_up_ms.get(key)]
        known = [bound for bound in bounds if bound is not None]
        if not known:  # first sight of a partition that is behind: from now on at least this can be said
            known = [self._caught_up_ms.setdefault(key, seen_ms)]
        return max(0, now_ms - max(known)) / 1000
