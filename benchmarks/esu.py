"""Time to score one user's C candidates: ids in, probabilities out.

The peer is the released network's straightforward form. Both read the same weights and the same batch and must agree;
they are timed in turn, in one process, and the median is reported. The user has 50 recent behaviours; each candidate
has 50 retrieved ones out of 1 500 distinct items.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from muse_stream.benchmarks.esu_released import ReleasedForm
from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.esu_scorer import Artefact, FeatureSpec, ScoreBatch, Scorer

CANDIDATE_COUNTS = (1, 10, 100, 200, 500, 1000, 2000)
LENGTH = 50  # K and R of the released network
ITEMS = 1_000_000
CATEGORIES = 26_397  # as many as Taobao-MM has
DISTINCT_ITEMS = 1500
SECONDS_PER_CASE = 1.0
AGREEMENT = 1e-5

PEER = "released network, user repeated per candidate, eager Torch"


def run(
    counts: tuple[int, ...] = CANDIDATE_COUNTS, seconds_per_case: float = SECONDS_PER_CASE, items: int = ITEMS
) -> list[Row]:
    """One row per number of candidates: milliseconds per batch."""
    rng = np.random.default_rng(0)
    ids = np.unique(rng.integers(-(2**62), 2**62, items))
    artefact = _artefact(ids)
    ours, peer = Scorer(artefact), ReleasedForm(artefact)
    return [_case(ours, peer, _batch(rng, ids, count), seconds_per_case) for count in counts]


def _case(ours: Scorer, peer: ReleasedForm, batch: ScoreBatch, seconds: float) -> Row:
    error = float(np.abs(ours.score(batch) - peer.score(batch)).max())
    if error > AGREEMENT:
        msg = f"the two forms differ by {error:.2e} at C = {batch.candidate_count}, so their times cannot be compared"
        raise RuntimeError(msg)
    ours_ms, peer_ms = _medians_ms((lambda: ours.score(batch), lambda: peer.score(batch)), seconds)
    return lower_is_better(f"score C={batch.candidate_count}", ours_ms, "ms", {PEER: peer_ms})


def _medians_ms(calls: tuple[Callable[[], object], ...], seconds: float) -> list[float]:
    """Median milliseconds of each call; they take turns, so that a busy machine is busy for all."""
    times: list[list[float]] = [[] for _ in calls]
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(times[0]) < 5:
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append((time.perf_counter() - start) * 1e3)
    return [float(np.median(taken)) for taken in times]


def _artefact(ids: np.ndarray) -> Artefact:
    spec = FeatureSpec.taobao_mm()
    others = {feature.name: ids[:100_000] for feature in spec.features[2:]}
    return Artefact.untrained(spec, {"item": ids, "category": ids[:CATEGORIES], **others}, seed=0, space="v1")


def _batch(rng: np.random.Generator, ids: np.ndarray, count: int) -> ScoreBatch:
    history = rng.choice(ids, DISTINCT_ITEMS)
    spec = FeatureSpec.taobao_mm()
    return ScoreBatch(
        user_features=rng.choice(ids[:100_000], (1, len(spec.user))),
        recent_item=rng.choice(history, (1, LENGTH)),
        recent_category=rng.choice(ids[:CATEGORIES], (1, LENGTH)),
        recent_mask=np.ones((1, LENGTH), np.bool_),
        bounds=np.array([0, count]),
        candidate_features=rng.choice(ids[:CATEGORIES], (count, len(spec.candidate))),
        recent_cosine=rng.uniform(-1, 1, (count, LENGTH)).astype(np.float32),
        recent_cosine_present=np.ones((count, LENGTH), np.bool_),
        retrieved_item=rng.choice(history, (count, LENGTH)),
        retrieved_category=rng.choice(ids[:CATEGORIES], (count, LENGTH)),
        retrieved_cosine=np.sort(rng.uniform(0, 1, (count, LENGTH)).astype(np.float32))[:, ::-1].copy(),
        retrieved_mask=np.ones((count, LENGTH), np.bool_),
    )
