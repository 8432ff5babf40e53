"""Each user's part in every metric, so that a metric of any resample of users is a function of weighted sums.

A row of sums holds, for one user or for many added up, in this order:

| column | sum over samples of |
|---|---|
| GAUC_WON, GAUC_WEIGHT | the user's AUC, and 1: of users with both classes |
| LOSS, SAMPLES | the cross-entropy, and 1 |
| PREDICTED, CLICKS | the score, and the label |
| ABOVE, BELOW | positives' and negatives' placements among the other class of the whole set |

GAUC, log loss and calibration are exact functions of them. AUC is not: it compares samples of different users. Its
resamples are those of its first-order expansion about the whole set (the structural components of Obuchowski 1997,
"Nonparametric analysis of clustered ROC curve data"; DeLong's with one user a sample); on the whole set it is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.evaluation.metrics import losses, placements, user_aucs
from muse_stream.esu_scorer.evaluation.scores import Scores

Float64 = npt.NDArray[np.float64]

Metric = Literal["gauc", "auc", "log_loss", "calibration"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class Column(IntEnum):
    """Columns of a row of sums."""

    GAUC_WON = 0
    GAUC_WEIGHT = 1
    LOSS = 2
    SAMPLES = 3
    PREDICTED = 4
    CLICKS = 5
    ABOVE = 6
    BELOW = 7


def user_sums(scores: Scores) -> Float64:
    """Row u of `[U, 8]` is the part of the user with the u-th lowest id."""
    each = user_aucs(scores.user, scores.label, scores.score)
    index = np.searchsorted(each.user, scores.user)
    counted = ~np.isnan(each.auc)
    place = np.nan_to_num(placements(np.zeros_like(scores.user), scores.label, scores.score))

    def added(values: npt.NDArray[np.floating | np.bool_]) -> Float64:
        return np.bincount(index, values, len(each.user)).astype(np.float64)

    sums = np.empty((len(each.user), len(Column)))
    sums[:, Column.GAUC_WON] = np.where(counted, each.auc, 0.0) * each.samples
    sums[:, Column.GAUC_WEIGHT] = counted * each.samples
    sums[:, Column.LOSS] = added(losses(scores.label, scores.score))
    sums[:, Column.SAMPLES] = each.samples
    sums[:, Column.PREDICTED] = added(scores.score)
    sums[:, Column.CLICKS] = added(scores.label)
    sums[:, Column.ABOVE] = added(np.where(scores.label, place, 0.0))
    sums[:, Column.BELOW] = added(np.where(scores.label, 0.0, place))
    return sums


def metric_of(metric: Metric, sums: Float64, whole: Float64) -> Float64:
    """A metric of `[..., 8]` sums, `[...]`; NaN where it does not exist. `whole [8]` are the sums of all users."""
    return _FROM_SUMS[metric](sums, whole)


def _gauc(sums: Float64, _whole: Float64) -> Float64:
    return _share(sums[..., Column.GAUC_WON], sums[..., Column.GAUC_WEIGHT])


def _auc(sums: Float64, whole: Float64) -> Float64:
    negatives = sums[..., Column.SAMPLES] - sums[..., Column.CLICKS]
    about = _share(whole[Column.ABOVE], whole[Column.CLICKS])
    above, below = _share(sums[..., Column.ABOVE], sums[..., Column.CLICKS]), _share(sums[..., Column.BELOW], negatives)
    return np.clip(above + below - about, 0.0, 1.0)


def _log_loss(sums: Float64, _whole: Float64) -> Float64:
    return _share(sums[..., Column.LOSS], sums[..., Column.SAMPLES])


def _calibration(sums: Float64, _whole: Float64) -> Float64:
    return _share(sums[..., Column.PREDICTED], sums[..., Column.CLICKS])


def _share(part: npt.ArrayLike, of: npt.ArrayLike) -> Float64:
    part, of = np.asarray(part, np.float64), np.asarray(of, np.float64)
    result: Float64 = np.divide(part, of, out=np.full(of.shape, np.nan), where=of > 0)
    return result


_FROM_SUMS: dict[Metric, Callable[[Float64, Float64], Float64]] = {
    "gauc": _gauc,
    "auc": _auc,
    "log_loss": _log_loss,
    "calibration": _calibration,
}
