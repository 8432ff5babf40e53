"""A worker judged in plain words: is it in time, is it fast, is it sound, may requests come; what to do where not.

Invariant: a verdict follows from readings alone, names the partition or stage to blame where there is one, and has
advice exactly where something is not well. Alerts are Prometheus's; this is for whoever looks at one worker now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from muse_stream.monitoring.readings import IngestReading, LagReading
from muse_stream.monitoring.trends import StageTime, TrendReading

LATE_SECONDS = 5.0
"""A partition that is read is late by a second or two at times: its end is asked for once a second."""
LATE_WRONG_SECONDS = 60.0
SHARE_MIN = 0.99
"""Of what must be within its service level in a window of a minute."""
FAILED_MAX, FAILED_WRONG = 0.001, 0.01
"""Share of answers that a client could not use, through no fault of its own."""
REJECTED_MAX = 0.001
"""Share of records that could not be used."""
FEW = 5
"""So many a minute are told, and nobody is called for them."""
GOOD = ("ok", "prefetched")
NOT_THE_CLIENTS = ("not_ready", "expired", "overload", "error")

STAGE_ADVICE: Mapping[str, str] = {
    "accept": "the event loop is busy: more connections or larger bodies than it handles; start another worker",
    "catch_up": "requests wait until this worker has read the log's end, or what `not_before` asks for: see the lag",
    "decode": "requests are large: send fewer candidates, or their ids instead of vectors",
    "queue": "more is asked than this worker computes: start another worker, or see docs/batching.md",
    "state_read": "histories come from disk: raise engine.pool_bytes and serving.history_cache_bytes, look at the disk",
    "gsu": "histories are long for this processor: more engine.threads, a GPU, or another worker",
    "features": "many candidates a request: send fewer, or start another worker",
    "esu": "the model takes the time: more engine.threads, fewer candidates, or another worker",
    "explain": "explanations cost: ask for them on a share of the requests only",
    "encode": "answers are large: ask for scores only, or fewer retrieved behaviours",
    "return": "the event loop is busy: more answers than it handles; start another worker",
    "produce": "Kafka takes long to take answers: look at the brokers' disks and at the network",
}
OTHER_ADVICE = "see docs/performance.md for what each stage costs"


class State(StrEnum):
    """How it stands."""

    OK = "ok"
    IDLE = "idle"  # nothing came that could be judged
    WATCH = "watch"  # not as it should be, and it may pass
    WRONG = "wrong"  # somebody has to do something


@dataclass(frozen=True, slots=True)
class Verdict:
    """One question and its answer.

    Attributes:
        key: `fresh`, `fast`, `sound` or `ready`.
        state: How it stands.
        text: What was found, and who is to blame.
        advice: What to do; empty while nothing is to be done.

    """

    key: str
    state: State
    text: str
    advice: str = ""


def fresh(reading: IngestReading, late_seconds: Sequence[float], trend: TrendReading | None) -> Verdict:
    """Whether behaviours are retrievable in time; `late_seconds` of each of the reading's lags."""
    stopped = _stopped(reading)
    if stopped is not None:
        return stopped
    worst = max(zip(late_seconds, reading.lags, strict=True), key=lambda pair: pair[0], default=None)
    assigned = reading.serving + reading.standby
    if reading.ready < assigned:
        furthest = max(reading.lags, key=lambda lag: lag.messages, default=None)
        text = f"{assigned - reading.ready} of {assigned} partitions catch up" + (
            f"; furthest behind is {_name(furthest)}, by {furthest.messages:,} records" if furthest else ""
        )
        return Verdict("fresh", State.WATCH, text, "wait while the number falls; if it does not, look at the broker")
    if worst is not None and worst[0] > LATE_SECONDS:
        late, lag = worst
        state = State.WRONG if late > LATE_WRONG_SECONDS else State.WATCH
        text = f"{_name(lag)} is {late:,.0f} s late, {lag.messages:,} records behind"
        advice = "if the lag falls, wait; if it grows, look at the broker and at this worker's load, or add a worker"
        return Verdict("fresh", state, text, advice)
    return _fresh_enough(assigned, trend)


def _stopped(reading: IngestReading) -> Verdict | None:
    if reading.stops:
        more = f" (and {len(reading.stops) - 1} more)" if len(reading.stops) > 1 else ""
        advice = "do what the text says; the partition is tried again, or restart the worker"
        return Verdict("fresh", State.WRONG, f"stopped: {reading.stops[0].text}{more}", advice)
    if not reading.serving + reading.standby:
        advice = "wait for the group to form; if it does not: are the brokers reachable, do the topics exist?"
        return Verdict("fresh", State.WATCH, "no partition is assigned to this worker", advice)
    return None


def _fresh_enough(assigned: int, trend: TrendReading | None) -> Verdict:
    found = trend.freshness if trend else None
    if found is None or found.in_time_ratio is None or found.p99_ms is None:
        text = f"all {assigned} partitions are read to their ends; no behaviour came in the last minute"
        return Verdict("fresh", State.IDLE, text)
    text = f"{found.in_time_ratio:.2%} of {found.count:,} behaviours were retrievable within {_time(found.in_time_ms)}"
    if found.in_time_ratio >= SHARE_MIN:
        return Verdict("fresh", State.OK, text)
    advice = "look at muse_ingest_apply_duration_seconds: a slow disk or a worker with too much to do; add a worker"
    return Verdict("fresh", State.WRONG if found.in_time_ratio < 0.5 else State.WATCH, text, advice)


def fast(trend: TrendReading | None) -> Verdict:
    """Whether answers come in time, and which stage takes most of it."""
    found = trend.answers if trend else None
    if trend is None or found is None or found.in_time_ratio is None:
        return Verdict("fast", State.IDLE, "nothing was asked in the last minute")
    text = f"{found.in_time_ratio:.2%} of {found.count:,} answers took less than {_time(found.in_time_ms)}"
    if found.in_time_ratio >= SHARE_MIN:
        return Verdict("fast", State.OK, text)
    slowest = slowest_stage(trend.stages)
    blame = f"; most of it in {slowest.stage}, {_time(slowest.mean_ms)} a request" if slowest else ""
    advice = STAGE_ADVICE.get(slowest.stage, OTHER_ADVICE) if slowest else OTHER_ADVICE
    state = State.WRONG if found.in_time_ratio < 0.5 else State.WATCH
    return Verdict("fast", state, text + blame, advice)


def slowest_stage(stages: Sequence[StageTime]) -> StageTime | None:
    """The stage that takes most of the time of all requests; None without any."""
    return max(stages, key=lambda stage: stage.mean_ms, default=None)


def sound(trend: TrendReading | None) -> Verdict:
    """Whether what comes in can be used and what goes out as well."""
    if trend is None:
        return Verdict("sound", State.IDLE, "the metrics are off (monitoring.enabled)")
    if trend.nonfinite:
        advice = "the model is broken: activate the one before (muse-stream models activate)"
        return Verdict("sound", State.WRONG, f"{trend.nonfinite:,} scores were no numbers", advice)
    answers = sum(trend.outcomes.values())
    failed = {name: trend.outcomes[name] for name in NOT_THE_CLIENTS if trend.outcomes.get(name)}
    if sum(failed.values()) > max(FEW, FAILED_MAX * answers):
        state = State.WRONG if sum(failed.values()) > FAILED_WRONG * answers else State.WATCH
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in failed.items())
        return Verdict(
            "sound", state, f"of {answers:,} requests: {counts}", _failed_advice(max(failed, key=failed.__getitem__))
        )
    if trend.rejected > max(FEW, REJECTED_MAX * trend.records):
        advice = "a producer sends what cannot be used: see the dead letters below for the reason and the place"
        return Verdict("sound", State.WATCH, f"{trend.rejected:,} of {trend.records:,} records rejected", advice)
    told = [f"{count:,} {name.replace('_', ' ')}" for name, count in trend.outcomes.items() if name not in GOOD]
    told += [f"{trend.stale:,} of them from a copy that was late"] if trend.stale else []
    told += [f"{trend.rejected:,} of {trend.records:,} records rejected"] if trend.rejected else []
    if not answers:
        return Verdict("sound", State.IDLE, ", ".join(["nothing was asked in the last minute", *told]))
    return Verdict("sound", State.OK, ", ".join([f"{answers:,} answers", *(told or ["none failed"])]))


def _failed_advice(outcome: str) -> str:
    return {
        "not_ready": "partitions catch up, or no model is loaded: see the checks below",
        "expired": "requests wait longer than they are worth: see the stages below; start another worker",
        "overload": "more is asked than this worker computes: start another worker, or see docs/batching.md",
    }.get(outcome, "a fault of this program: see the last warnings below and the log")


def ready(body: Mapping[str, Any]) -> Verdict:
    """Whether requests may come here; `body` is that of `/health/ready`."""
    failing = [check for check in body["checks"] if not check["ok"]]
    if failing:
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        first = failing[0]
        if first["name"] == "partitions":  # `fresh` tells which, and why
            return Verdict("ready", State.WRONG, f"not all partitions are caught up{more}", "see the partitions")
        return Verdict("ready", State.WRONG, f"{first['name']}: {first['detail']}{more}", first["advice"])
    if body["status"] == "draining":
        return Verdict(
            "ready", State.WATCH, "draining: it finishes what it has and stops", "nothing, if it was told to stop"
        )
    return Verdict("ready", State.OK, f"all {len(body['checks'])} checks pass")


def _name(lag: LagReading) -> str:
    return f"{lag.topic} partition {lag.partition}"


def _time(milliseconds: float) -> str:
    return f"{milliseconds / 1e3:g} s" if milliseconds >= 1e3 else f"{milliseconds:.3g} ms"
