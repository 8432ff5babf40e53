"""From scores to a report, and from two models' scores to their difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import EvaluationError
from muse_stream.esu_scorer.evaluation.bootstrap import ROUNDS, interval, resamples
from muse_stream.esu_scorer.evaluation.report import Bin, Bucket, Interval, Report
from muse_stream.esu_scorer.evaluation.scores import Scores
from muse_stream.esu_scorer.evaluation.sums import METRICS, Column, Metric, metric_of, user_sums

Float64 = npt.NDArray[np.float64]

BINS = 10
LENGTHS = (0, 1, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""Least window length of each bucket."""

_LENGTH_NAMES = {
    "0": 0,
    **{f"{low:,} to {high - 1:,}": low for low, high in pairwise(LENGTHS[1:])},
    f">= {LENGTHS[-1]:,}": LENGTHS[-1],
}
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
AGES = {
    "unknown": -1,
    "< 1 h": 0,
    "1 h to 1 day": _HOUR_MS,
    "1 to 7 days": _DAY_MS,
    "7 to 30 days": 7 * _DAY_MS,
    "30 to 90 days": 30 * _DAY_MS,
    "90 to 180 days": 90 * _DAY_MS,
    "180 to 365 days": 180 * _DAY_MS,
    ">= 365 days": 365 * _DAY_MS,
}
"""Least median age of each bucket, in milliseconds."""


def evaluate(scores: Scores, *, seed: int = 1, rounds: int = ROUNDS) -> Report:
    """All of a report.

    Args:
        scores: Of one model on one part.
        seed: Of the resamples of users.
        rounds: Resamples; 0 = no intervals, at a small part of the cost.

    """
    sums = user_sums(scores)
    again = _Resampling(seed, rounds)
    found = dict(zip(METRICS, again.intervals(sums, METRICS), strict=True))
    return Report(
        **found,
        samples=len(scores),
        users=len(sums),
        users_counted=_counted(sums),
        clicks=int(sums[:, Column.CLICKS].sum()),
        reliability=tuple(_reliability(scores)),
        by_length=tuple(_buckets(scores, scores.history, _LENGTH_NAMES, again)),
        by_age=tuple(_buckets(scores, scores.age_ms, AGES, again)),
        rounds=rounds,
        seed=seed,
    )


def difference(
    first: Scores, second: Scores, *, metric: Metric = "gauc", seed: int = 1, rounds: int = ROUNDS
) -> Interval:
    """`metric(first) - metric(second)` with its interval: both of the same users in every resample.

    Raises `EvaluationError` unless both are of the same samples in the same order.
    """
    _check_same(first, second)
    sums = [user_sums(scores) for scores in (first, second)]
    values, draws = zip(*(_drawn(each, metric, resamples(each, rounds, seed)) for each in sums), strict=True)
    users = _counted(sums[0]) if metric == "gauc" else len(sums[0])
    return interval(values[0] - values[1], draws[0] - draws[1], users=users)


def _check_same(first: Scores, second: Scores) -> None:
    if len(first) != len(second):
        msg = f"scores of {len(first)} and of {len(second)} samples, expected the same samples"
        raise EvaluationError(msg)
    other = (first.user != second.user) | (first.label != second.label)
    if other.any():
        row = int(np.argmax(other))
        msg = (
            f"sample {row} is of user {first.user[row]}, label {int(first.label[row])} in the first and of user "
            f"{second.user[row]}, label {int(second.label[row])} in the second; score one part in one order"
        )
        raise EvaluationError(msg)


def _drawn(sums: Float64, metric: Metric, drawn: Float64) -> tuple[float, Float64]:
    whole = sums.sum(0)
    return float(metric_of(metric, whole, whole)), metric_of(metric, drawn, whole)


@dataclass(frozen=True, slots=True)
class _Resampling:
    seed: int
    rounds: int

    def intervals(self, sums: Float64, metrics: tuple[Metric, ...]) -> Iterator[Interval]:
        drawn = resamples(sums, self.rounds, self.seed)
        for metric in metrics:
            users = _counted(sums) if metric == "gauc" else len(sums)
            value, draws = _drawn(sums, metric, drawn)
            yield interval(value, draws, users=users)


def _counted(sums: Float64) -> int:
    return int((sums[:, Column.GAUC_WEIGHT] > 0).sum())


def _reliability(scores: Scores) -> Iterator[Bin]:
    if not len(scores):
        return
    lower = np.searchsorted(np.sort(scores.score), scores.score)  # samples that score lower
    index = BINS * lower // len(scores)
    for number in np.unique(index):
        inside = index == number
        score = scores.score[inside]
        yield Bin(
            samples=int(inside.sum()),
            score_low=float(score.min()),
            score_high=float(score.max()),
            predicted=float(score.mean(dtype=np.float64)),
            observed=float(scores.label[inside].mean()),
        )


def _buckets(
    scores: Scores, values: npt.NDArray[np.int64], lows: Mapping[str, int], again: _Resampling
) -> Iterator[Bucket]:
    names = list(lows)
    index = np.searchsorted(list(lows.values()), values, side="right") - 1
    for number in np.unique(index):
        inside = scores.take(index == number)
        sums = user_sums(inside)
        gauc, auc = again.intervals(sums, ("gauc", "auc"))
        yield Bucket(
            name=names[number],
            samples=len(inside),
            users=len(sums),
            users_counted=_counted(sums),
            clicks=int(inside.label.sum()),
            gauc=gauc,
            auc=auc,
        )
