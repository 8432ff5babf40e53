"""Answers built from what was found, and the defined answers for everything that was not computed.

Invariant: every function here returns an Answer that names its request; what it says of a behaviour comes from the
sequence that was searched.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from muse_stream.streams.serving.gather import rows_at
from muse_stream.streams.serving.pipeline import Ask, Found
from muse_stream.streams.serving.shed import ShedError
from muse_stream.streams.serving.told import explanation, features, positions_of
from muse_stream.streams.wire.answers import (
    Answer,
    AnswerError,
    Model,
    Part,
    PartitionOffset,
    Positions,
    Retrieved,
    Status,
    Window,
)
from muse_stream.streams.wire.requests import BadRequest, Request


def bad(request: BadRequest) -> Answer:
    """The request breaks the contract."""
    error = AnswerError(request.code, request.message)
    return Answer(request_id=request.request_id, user=request.user_text, status=request.status, error=error)


def refused(request: Request, status: Status, code: str, message: str) -> Answer:
    """The request was read but not computed."""
    error = AnswerError(code, message)
    return Answer(request_id=request.request_id, user=request.user_text, status=status, error=error)


def shed(request: Request, error: ShedError) -> Answer:
    """There is too much to do."""
    retry_after_ms = max(1, math.ceil(error.retry_after_ms))
    told = AnswerError("overload", f"{error}; ask again in {retry_after_ms} ms, or another time", retry_after_ms)
    return Answer(request_id=request.request_id, user=request.user_text, status=Status.OVERLOAD, error=told)


def faulty(request: Request) -> Answer:
    """The server failed; what happened is in its log, not in the answer."""
    return refused(request, Status.ERROR, "internal", "a fault of the server; its log has the details")


def oversized(request_id: str | None, user: str | None, found_bytes: int, limit: str) -> Answer:
    """The answer itself is too large to be sent."""
    advice = "ask for fewer candidates, a smaller k, or want: scores"
    error = AnswerError("answer_too_large", f"the answer has {found_bytes} bytes, more than {limit}; {advice}")
    return Answer(request_id=request_id, user=user, status=Status.TOO_LARGE, error=error)


def computed(ask: Ask, found: Found) -> Answer:
    """What was found for one ask."""
    request = ask.request
    history = found.history
    info = found.live.info if found.probabilities is not None else None
    return Answer(
        request_id=request.request_id,
        user=request.user_text,
        status=Status.OK if len(request.items) else Status.PREFETCHED,
        candidates=request.candidates or None,
        scores=None if found.probabilities is None else found.probabilities.astype(np.float64).tolist(),
        retrieved=_retrieved(found, request.k) if request.want != "scores" else None,
        positions=Positions(
            behaviours=PartitionOffset(ask.partition, found.behaviours_position),
            users=found.users_position,
            items=found.items_version,
        ),
        window=Window(history.start, history.stop),
        model=Model(digest=info.digest, version=info.version) if info else None,
        space=found.live.space,
        history_length=len(history),
        watermark_ms=found.watermark_ms,
        stages_ms=ask.clock.milliseconds(),
        stale_seconds=None if found.stale_seconds is None else math.ceil(found.stale_seconds * 1e3) / 1e3,
        left_out=_left_out(ask, found),
        **_many(found),
    )


def lighter(found: Found) -> Iterator[Found]:
    """The same with less and less of what may be left out; first whole."""
    yield found
    if found.features is not None:
        found = replace(found, features=None)
        yield found
    if found.explaining is not None:
        yield replace(found, explaining=None)


def _retrieved(found: Found, k: int) -> list[Retrieved]:
    """The first `k` behaviours of every candidate, as columns."""
    result, history = found.result, found.history
    rows, _ = rows_at(result.positions[:, :k], history.start)
    counts = np.minimum(result.count, k).tolist()
    if not len(history):
        return [Retrieved([], [], [], [], []) for _ in counts]
    items, times, actions = (history.rows[name][rows].tolist() for name in ("item", "time_ms", "action"))
    positions, cosines = result.positions[:, :k].tolist(), result.scores[:, :k].astype(np.float64).tolist()
    return [
        Retrieved(items[c][:n], times[c][:n], actions[c][:n], positions[c][:n], cosines[c][:n])
        for c, n in enumerate(counts)
    ]


def _left_out(ask: Ask, found: Found) -> list[Part]:
    """What was asked for and is not there."""
    wanted = ask.request.features and found.probabilities is not None
    parts: tuple[tuple[Part, bool], ...] = (
        ("features", wanted and found.features is None),
        ("explanation", len(ask.request.explain_rows) > 0 and found.explaining is None),
    )
    return [part for part, is_missing in parts if is_missing]


def _many(found: Found) -> dict[str, Any]:
    """Features and explanation, and the behaviours that they name."""
    read, asked, info = found.features, found.explaining, found.live.info
    named = [*(positions_of(read) if read else ()), *(asked.positions() if asked else ())]
    if found.told is None or not named:
        return {}
    told = found.told.only(named)
    parts: dict[str, Any] = {"behaviours": told.wire()}
    if read is not None and info is not None:
        parts["features"] = features(read, (info.spec.candidate_names, info.spec.user_names), told)
    if asked is not None:
        scores = None if found.probabilities is None else found.probabilities[asked.rows]
        parts["explanation"] = explanation(asked, found.explained, scores, told)
    return parts
