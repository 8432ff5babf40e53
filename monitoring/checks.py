"""The checks that every worker has: threads that still move, partitions that have caught up, a model that is warm.

Invariant: readiness does not flap with Kafka. A partition that has caught up once counts as caught up until it is
staler than the bound, whether records come too slowly or the brokers are away; staleness before that is an alert, not
an outage.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from muse_stream.monitoring.health import CheckResult
from muse_stream.monitoring.ingest import held_seconds
from muse_stream.monitoring.lag import LagClock
from muse_stream.monitoring.readings import IngestReading, LagReading, ModelReading
from muse_stream.monitoring.shapes import DeviceReading


class Heartbeats:
    """Whether work that has begun comes to an end.

    Args:
        silent_seconds_max: A thread silent for longer fails the check.
        clock: Monotonic seconds.

    """

    def __init__(self, silent_seconds_max: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silent_seconds_max = silent_seconds_max
        self._clock = clock
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def beat(self, thread: str) -> None:
        """Say that the thread moves; from the first beat on it is expected to go on."""
        with self._lock:
            self._last[thread] = self._clock()

    def stop(self, thread: str) -> None:
        """Say that the thread ends, or rests, as planned."""
        with self._lock:
            self._last.pop(thread, None)

    def check(self) -> CheckResult:
        """Look for the thread that has been silent longest."""
        with self._lock:
            last = dict(self._last)
        if not last:
            return CheckResult(ok=True, detail="idle: nothing is under way")
        thread = min(last, key=lambda name: last[name])
        silent = self._clock() - last[thread]
        detail = f"{thread} was last seen {silent:.1f} s ago (of {', '.join(sorted(last))})"
        if silent <= self._silent_seconds_max:
            return CheckResult(ok=True, detail=detail, age_seconds=silent)
        advice = f"{thread} hangs: look at its last log lines and its stack (py-spy dump), then restart the worker"
        return CheckResult(ok=False, detail=detail, advice=advice, age_seconds=silent)


class CaughtUp:
    """Whether every assigned partition is near the end of its log.

    Args:
        read: Where ingest stands.
        lag_messages_max: A partition becomes ready when it is no further behind than this.
        stale_seconds_max: It stays ready until it is further behind than this in time.
        clock: Seconds since the epoch.

    """

    def __init__(
        self,
        read: Callable[[], IngestReading],
        *,
        lag_messages_max: int,
        stale_seconds_max: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._read = read
        self._lag_messages_max = lag_messages_max
        self._stale_seconds_max = stale_seconds_max
        self._clock = clock
        self._lag_clock = LagClock()
        self._reached: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def check(self) -> CheckResult:
        """Look at every partition that is assigned now; the age is that of what is known of the logs' ends."""
        reading, now_ms = self._read(), int(self._clock() * 1000)
        with self._lock:
            late = self._late(reading.lags, now_ms)
        return replace(self._found(reading, late), age_seconds=known_seconds(reading.lags, now_ms))

    def _found(self, reading: IngestReading, late: Sequence[LagReading]) -> CheckResult:
        assigned = reading.serving + reading.standby
        if reading.failed:
            return CheckResult(
                ok=False,
                detail=f"{reading.failed} of {assigned} partitions stopped{_why(reading)}",
                advice="do what the text says, then restart the worker; the log has a line for each partition",
            )
        seen, behind = _partitions(reading.lags), _partitions(late)
        if len(seen) < assigned or any(not lag.ready for lag in late):
            return CheckResult(
                ok=False,
                detail=f"{len(seen - behind)} of {assigned} partitions are restored; {_furthest(late)}",
                advice="wait: it replays what it missed; /health/startup says how long that may take",
            )
        if late:
            return CheckResult(
                ok=False,
                detail=f"{len(late)} partitions are behind; {_furthest(late)}",
                advice="if the lag falls, wait; if it grows, look at muse_ingest_apply_duration_seconds and the broker",
            )
        return CheckResult(ok=True, detail=f"{assigned} partitions; {_furthest(reading.lags)}")

    def _late(self, lags: Sequence[LagReading], now_ms: int) -> list[LagReading]:
        """Those that never came near, or are too late by now.

        A copy that was near stays so over a rebalance, while its log's end is asked for anew.
        """
        seconds = self._lag_clock.seconds(lags, now_ms)
        keys = [(lag.topic, lag.partition) for lag in lags]
        fresh = {key for key, late in zip(keys, seconds, strict=True) if late <= self._stale_seconds_max}
        near = {
            key for key, lag in zip(keys, lags, strict=True) if lag.ready and lag.messages <= self._lag_messages_max
        }
        self._reached = (self._reached | near) & fresh
        return [lag for key, lag in zip(keys, lags, strict=True) if key not in self._reached]


def known_seconds(lags: Sequence[LagReading], now_ms: int) -> float:
    """How long ago the ends of the logs were learnt, the oldest of them."""
    seen = [lag.end_seen_ms for lag in lags if lag.end_seen_ms is not None]
    return max(0, now_ms - min(seen, default=now_ms)) / 1000


def held_back_check(read: Callable[[], IngestReading], clock: Callable[[], float] = time.time) -> CheckResult:
    """Say where an open transaction holds records back; it never fails, since nobody here can do anything about it."""
    lags, now_ms = read().lags, int(clock() * 1000)
    held, age = [lag for lag in lags if lag.held_back], known_seconds(lags, now_ms)
    if not held:
        return CheckResult(ok=True, detail="no open transaction holds records back", age_seconds=age)
    worst = max(held, key=lambda lag: held_seconds(lag, now_ms))
    detail = (
        f"{worst.topic}/{worst.partition}: a transaction has been open for {held_seconds(worst, now_ms):.0f} s, "
        f"{worst.held_back:,} records wait ({len(held)} partitions in all)"
    )
    advice = (
        "the records are not committed, so they are not read; if it does not end: find the producer with "
        "kafka-transactions.sh find-hanging (or list, describe) and abort its transaction"
    )
    return CheckResult(ok=True, detail=detail, advice=advice, age_seconds=age)


def gpu_check(read: Callable[[], DeviceReading | None]) -> CheckResult:
    """Say whether a GPU answers; it never fails, since the CPU answers as well, only later."""
    gpu = read()
    if gpu is None:
        return CheckResult(ok=True, detail="none is used")
    if gpu.lost is None:
        return CheckResult(ok=True, detail=f"{gpu.name}: {gpu.histories.users:,} users are resident")
    advice = "look at the driver's log (dmesg, nvidia-smi), then restart the worker"
    return CheckResult(ok=True, detail=f"degraded: GPU lost, CPU answers ({gpu.name}: {gpu.lost})", advice=advice)


def model_check(read: Callable[[], ModelReading | None], clock: Callable[[], float] = time.time) -> CheckResult:
    """Look whether a model is loaded and warmed; `read` returns None before that.

    What is on its way, or was refused, is shown and changes nothing: the model that runs answers.
    """
    reading = read()
    if reading is None:
        return CheckResult(ok=False, detail="no model is loaded and warmed yet", advice="wait, or see the worker's log")
    return CheckResult(
        ok=True,
        detail=f"{reading.version} ({reading.digest})" + (f"; {reading.note}" if reading.note else ""),
        age_seconds=max(0.0, clock() - reading.loaded_at_seconds),
    )


def _partitions(lags: Sequence[LagReading]) -> set[int]:
    """Of behaviours and users; the items have a check of their own."""
    return {lag.partition for lag in lags if lag.topic != "items"}


def _furthest(lags: Sequence[LagReading]) -> str:
    if not lags:
        return "nothing is open yet"
    worst = max(lags, key=lambda lag: lag.messages)
    return f"furthest behind: {worst.topic}/{worst.partition} at {worst.position} of {worst.known_end}"


def _why(reading: IngestReading) -> str:
    """The first text and how many more there are, so that the operator's action is where the alert leads."""
    texts = [stop.text for stop in reading.stops]
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return f": {texts[0]}{more}" if texts else ""
