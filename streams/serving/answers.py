"""Answers built from what was found, and the defined answers for everything that was not computed.

Invariant: every function here returns an Answer that names its request; what it says of a behaviour comes from the
sequence that was searched.
"""

from typing import Any

import numpy as np

from muse_stream.streams.serving.features import RequestFeatures
from muse_stream.streams.serving.gather import rows_at
from muse_stream.streams.serving.pipeline import Ask, Found
from muse_stream.streams.wire.answers import (
    Answer,
    AnswerError,
    CandidateFeatures,
    FeatureHistory,
    Features,
    Model,
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
        explanation=_explanation(found, request.k) if request.explain else None,
        features=_features(found),
    )


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


def _features(found: Found) -> Features | None:
    """What the network read; None where it was not asked for."""
    read, info = found.features, found.live.info
    if read is None or info is None:
        return None
    spec, rows = info.spec, read.history.rows
    history = FeatureHistory(
        read.history.start,
        item=rows["item"].tolist(),
        category=read.categories.tolist(),
        time_ms=rows["time_ms"].tolist(),
        action=rows["action"].tolist(),
    )
    candidates = [_candidate_features(read, number) for number in range(len(read.candidates))]
    return Features(list(spec.candidate_names), list(spec.user_names), read.user.tolist(), history, candidates)


def _candidate_features(read: RequestFeatures, number: int) -> CandidateFeatures:
    there = read.positions[number] >= 0
    recent = min(read.window[1] - read.window[0], read.recent_cosines.shape[1])
    return CandidateFeatures(
        values=read.candidates[number].tolist(),
        position=read.positions[number, there].tolist(),
        item=read.items[number, there].tolist(),
        category=read.item_categories[number, there].tolist(),
        cosine=read.cosines[number, there].astype(np.float64).tolist(),
        recent_cosine=read.recent_cosines[number, :recent].astype(np.float64).tolist(),
        recent_present=read.recent_present[number, :recent].tolist(),
    )


def _explanation(found: Found, k: int) -> dict[str, Any]:
    """Per candidate how similar the retrieved and the recent behaviours are: SimTier's own view of them.

    Tiers are those of the paper's SimTier: bin `ceil(10 cos) + 10` of 0..21, as counts.
    """
    result = found.result
    counts = np.minimum(result.count, k).tolist()
    retrieved = [_tier_counts(scores[:count]) for scores, count in zip(result.scores, counts, strict=True)]
    present = zip(result.recent_scores, result.recent_present, strict=True)
    return {"retrieved_tiers": retrieved, "recent_tiers": [_tier_counts(scores[mask]) for scores, mask in present]}


def _tier_counts(cosines: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[int]:
    bins = np.ceil(np.float32(10) * cosines).astype(np.int64) + 10
    counts: list[int] = np.bincount(bins, minlength=22).tolist()
    return counts
