"""Vectors to compare with: of the text alone, of the purchases alone, and of neither.

All of them are `[n, d] float32` of unit length; a row of zeros is an item that the method has nothing to say of (no
word, no companion): it has no vector.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.vectors.baskets import Baskets
from muse_stream.esu_scorer.vectors.lowrank import left_factor
from muse_stream.esu_scorer.vectors.text import Bags

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

DIMENSION = 128
CONTEXT_POWER = 0.75  # Levy and Goldberg 2015: damps the PMI of rare companions
_PAIRS_AT_ONCE = 4_000_000  # some 100 MB


def unit(vectors: npt.NDArray[np.floating]) -> Float32:
    """Rows `[n, d]` scaled to length 1; rows of zeros stay."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float64] = np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
    return scaled.astype(np.float32)


def random_vectors(count: int, *, dimension: int = DIMENSION, seed: int = 0) -> Float32:
    """Independent directions, equally likely: `[count, dimension]`."""
    return unit(np.random.default_rng(seed).standard_normal((count, dimension)))


def tfidf_svd(bags: Bags, *, dimension: int = DIMENSION, seed: int = 0) -> Float32:
    """Latent semantic analysis: the TF-IDF rows on their first singular directions."""
    shape = (len(bags), bags.width)
    return unit(left_factor(bags.row, bags.bucket, bags.weight, shape, rank=dimension, power=1.0, seed=seed))


def copurchase(baskets: Baskets, count: int, *, dimension: int = DIMENSION, seed: int = 0) -> Float32:
    """`U sqrt(S)` of the matrix of positive pointwise mutual information of items in one basket.

    Args:
        baskets: Of the training span.
        count: Items; one without a companion in it gets no vector, nor does one that the first d directions all miss.
        dimension: d.
        seed: Of the decomposition's start.

    """
    left, right, together = _counts(baskets, count)
    marginal = np.bincount(left, together, minlength=count)  # the counts are symmetric
    context = marginal**CONTEXT_POWER
    information = np.log(together * context.sum() / (marginal[left] * context[right]))
    positive = information > 0
    value = information[positive].astype(np.float32)
    shape = (count, count)
    return unit(left_factor(left[positive], right[positive], value, shape, rank=dimension, power=0.5, seed=seed))


def _counts(baskets: Baskets, count: int) -> tuple[Int64, Int64, npt.NDArray[np.float64]]:
    """Items `left`, `right` and in how many baskets they are together; memory follows the different pairs."""
    codes, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    sizes = baskets.size[np.unique(baskets.basket, return_index=True)[1]]
    pieces = np.cumsum(sizes * (sizes - 1)) // _PAIRS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(pieces)) + 1).tolist(), len(sizes)]
    for low, high in pairwise(edges):
        left, right = baskets.pairs(low, high)
        found, often = np.unique(left * count + right, return_counts=True)
        codes, place = np.unique(np.concatenate([codes, found]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, often])).astype(np.int64)
    left, right = np.divmod(codes, count)
    return left, right, counts.astype(np.float64)
