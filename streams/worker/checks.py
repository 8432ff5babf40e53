"""Checks of health that know this worker's parts; those that any worker has are in `monitoring.checks`.

Invariant: a check looks at what is known and returns at once; its age says how old that is.
"""

import time

from muse_stream.monitoring import CheckResult, Heartbeats
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.worker.copies import OwnedCopies
from muse_stream.streams.worker.data_plane import DataPlane


def search(fault: str | None, beats: Heartbeats) -> CheckResult:
    """Whether requests get their passes, and passes come to an end."""
    if fault is None:
        return beats.check()
    advice = "no request is answered any more: restart the worker, and report this fault of the program"
    return CheckResult(ok=False, detail=f"passes are not run any more: {fault}", advice=advice)


def thread(one: LoopThread, silent_seconds_max: float) -> CheckResult:
    """Whether a reading thread moves; what the brokers do not answer is told, and fails nothing."""
    found = one.health()
    if found.error or not found.alive:
        return CheckResult(ok=False, detail=found.error or "not running", advice="restart the worker")
    ok = found.beat_age_seconds <= silent_seconds_max
    detail = found.broker_error or f"moved {found.beat_age_seconds:.1f} s ago"
    advice = "" if ok else "the thread hangs: look at the log and its stack (py-spy dump), then restart the worker"
    return CheckResult(ok=ok, detail=detail, advice=advice, age_seconds=found.beat_age_seconds)


def assignment(copies: OwnedCopies) -> CheckResult:
    """Whether the group has given this worker its partitions once; a rebalance changes nothing."""
    if copies.assigned_at is None:
        advice = "wait for the group to form; if it does not: are the brokers reachable, do the topics exist?"
        return CheckResult(ok=False, detail="no assignment yet", advice=advice)
    age = max(0.0, time.time() - copies.assigned_at)
    return CheckResult(ok=True, detail=f"owns {len(copies.owned)} partitions", age_seconds=age)


def items(plane: DataPlane) -> CheckResult:
    """Whether the items topic has been read."""
    state = plane.items.state()
    seen_ms = [log.end_seen_ms for log in state.logs.values()]
    age = max(0.0, time.time() - min(seen_ms) / 1e3) if seen_ms else 0.0
    if state.ready:
        return CheckResult(ok=True, detail=f"item tables stand at {plane.item_feed.version}", age_seconds=age)
    advice = state.error or "wait: the items topic is read whole before the first answer"
    return CheckResult(ok=False, detail=f"items are {state.phase}", advice=advice, age_seconds=age)
