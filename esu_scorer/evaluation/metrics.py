"""GAUC, AUC, log loss and calibration, over whole sets at once.

GAUC is the mean over users of each user's own AUC, weighted by the user's samples; users who only clicked, or never,
are skipped. A tie counts half. (The public release takes GAUC inside each batch and counts a tie as lost.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
Bool = npt.NDArray[np.bool_]

CERTAIN = 1e-7
"""Probabilities are clipped to `CERTAIN .. 1 - CERTAIN` in the log loss, as the network clips its own from below."""


def placements(group: Int64, label: Bool, score: Floats) -> Float64:
    """How well each sample lies among the other class of its group.

    Args:
        group: `[N] int64`, whose samples are compared with each other.
        label: `[N] bool`.
        score: `[N]` floats.

    Returns:
        `[N] float64`. Of a positive: the share of the group's negatives that score lower; of a negative: the share of
        its positives that score higher; a tie counts half. NaN where the group has no other class.

    """
    if not len(group):
        return np.empty(0)
    order = np.lexsort((score, group))
    groups, scores = group[order], score[order]
    other_group = groups[1:] != groups[:-1]
    group_start, group_stop = _runs(other_group)
    tie_start, tie_stop = _runs(other_group | (scores[1:] != scores[:-1]))
    positive = label[order]
    positives = np.concatenate([[0], np.cumsum(positive)])  # (N + 1), before each row
    negatives = np.arange(len(positives)) - positives
    won = np.where(
        positive,
        negatives[tie_start] - negatives[group_start] + 0.5 * (negatives[tie_stop] - negatives[tie_start]),
        positives[group_stop] - positives[tie_stop] + 0.5 * (positives[tie_stop] - positives[tie_start]),
    )
    others = np.where(
        positive,
        negatives[group_stop] - negatives[group_start],
        positives[group_stop] - positives[group_start],
    )
    result = np.empty(len(order))
    result[order] = np.divide(won, others, out=np.full(len(order), np.nan), where=others > 0)
    return result


def _runs(changes: Bool) -> tuple[Int64, Int64]:
    """First row of each row's run, and the row after its last, `[N] int64`; `changes [N - 1]` is where runs begin."""
    count = len(changes) + 1
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    lengths = np.diff(np.append(starts, count))
    return np.repeat(starts, lengths), np.repeat(starts + lengths, lengths)


@dataclass(frozen=True, eq=False, slots=True)
class UserAucs:
    """Each user's own AUC.

    Attributes:
        user: `[U] int64` user ids, ascending.
        auc: `[U] float64`, NaN where the user has one class only.
        samples: `[U] int64`.

    """

    user: Int64
    auc: Float64
    samples: Int64

    def mean(self) -> float:
        """GAUC; NaN where no user has both classes."""
        counted = ~np.isnan(self.auc)
        weight = self.samples[counted]
        return float(self.auc[counted] @ weight / weight.sum()) if counted.any() else math.nan


def user_aucs(user: Int64, label: Bool, score: Floats) -> UserAucs:
    """AUC of each user's samples, ties as half."""
    users, index = np.unique(user, return_inverse=True)
    if not len(users):
        return UserAucs(users, np.empty(0), np.empty(0, np.int64))
    positives = np.bincount(index, label, len(users))
    won = np.bincount(index, np.where(label, placements(index, label, score), 0.0), len(users))
    auc = np.divide(won, positives, out=np.full(len(users), np.nan), where=positives > 0)
    return UserAucs(users, auc, np.bincount(index, minlength=len(users)))


def gauc(user: Int64, label: Bool, score: Floats) -> float:
    """GAUC over the whole set; NaN where no user has both classes. Scores need not be probabilities."""
    return user_aucs(user, label, score).mean()


def auc(label: Bool, score: Floats) -> float:
    """AUC over the whole set, ties as half; NaN where there is one class only."""
    return user_aucs(np.zeros(len(label), np.int64), label, score).mean()


def losses(label: Bool, score: Floats) -> Float64:
    """Cross-entropy of each sample in nats, `[N] float64`, of probabilities clipped by `CERTAIN`."""
    probability = np.clip(score.astype(np.float64), CERTAIN, 1 - CERTAIN)
    wrong: Float64 = -np.log(np.where(label, probability, 1 - probability))
    return wrong


def log_loss(label: Bool, score: Floats) -> float:
    """Mean cross-entropy in nats; NaN of nothing."""
    return float(losses(label, score).mean()) if len(label) else math.nan


def calibration(label: Bool, score: Floats) -> float:
    """Predicted positives / observed ones: above 1 = too hopeful; NaN where none was observed."""
    observed = int(label.sum())
    return float(score.sum(dtype=np.float64) / observed) if observed else math.nan
