"""The metrics by their definitions, one pair of samples at a time."""

import math
from collections.abc import Sequence


def auc(labels: Sequence[bool], scores: Sequence[float]) -> float:
    positives = [score for label, score in zip(labels, scores, strict=True) if label]
    negatives = [score for label, score in zip(labels, scores, strict=True) if not label]
    if not positives or not negatives:
        return math.nan
    won = sum(1.0 if high > low else 0.5 if high == low else 0.0 for high in positives for low in negatives)
    return won / (len(positives) * len(negatives))


def gauc(users: Sequence[int], labels: Sequence[bool], scores: Sequence[float]) -> float:
    total, weight = 0.0, 0
    for user in set(users):
        rows = [row for row, other in enumerate(users) if other == user]
        own = auc([labels[row] for row in rows], [scores[row] for row in rows])
        if not math.isnan(own):
            total += len(rows) * own
            weight += len(rows)
    return total / weight if weight else math.nan
