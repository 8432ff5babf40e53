"""What is right: every score, by the definition, and how much of it an answer found.

An answer is right where its score is among the K best; which of several equal scores it names does not matter. The int8
rows decide, through float32 products that are exact for them. Peers that sum float32 unit vectors are allowed their
rounding: `SLACK`.
"""

import numpy as np

from muse_stream.benchmarks.gsu_data import Vectors
from muse_stream.benchmarks.vectors import F32, I64

SLACK = 1e-6  # of a cosine
PART = 32  # candidates at once: 13 MB of scores of 100 000 rows


def kth_scores(rows: Vectors, candidates: Vectors, k: int) -> F32:
    """`[C] float32`: of each candidate the score of the K-th best row."""
    floats, inv_norms = rows.int8.astype(np.float32), rows.inv_norms
    found = []
    for low in range(0, len(candidates), PART):
        part = slice(low, low + PART)
        scores = (candidates.int8[part].astype(np.float32) @ floats.T) * inv_norms
        scores *= candidates.inv_norms[part, None]
        found.append(np.partition(scores, -k, axis=1)[:, -k])
    return np.concatenate(found)


def recall(rows: Vectors, candidates: Vectors, kth: F32, best: I64, slack: float) -> float:
    """Share of the K best that an answer has, 0..1.

    Args:
        rows: What was searched.
        candidates: For what.
        kth: `kth_scores` of them.
        best: `[C, K] int64` the answer's rows; one that comes twice counts once.
        slack: By how much a score may be below the K-th best one's.

    """
    right = 0
    for candidate, picked in enumerate(best):
        distinct = np.unique(picked)
        sums = rows.int8[distinct].astype(np.float32) @ candidates.int8[candidate].astype(np.float32)
        scores = sums * rows.inv_norms[distinct] * candidates.inv_norms[candidate]
        right += int((scores >= kth[candidate] - slack).sum())
    return right / best.size
