"""Made-up vectors and histories: mixtures of interests with repeats, which behave like real ones, and plain noise."""

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

INTERESTS = 64
SPREAD = 0.7  # of an item around its interest, per component: neighbours at cosines of 0.6 to 0.9, as with real items
REPEATS = 0.3  # of a long history's behaviours are with an item seen before


def unit_vectors(rng: np.random.Generator, count: int, dimension: int) -> F32:
    """`[count, dimension] float32` unit vectors around `INTERESTS` centres."""
    return around(rng, interests(rng, dimension), count)


def interests(rng: np.random.Generator, dimension: int) -> F32:
    """`[INTERESTS, dimension] float32` centres."""
    return rng.standard_normal((INTERESTS, dimension), np.float32)


def around(rng: np.random.Generator, centres: F32, count: int) -> F32:
    """`[count, dimension] float32` unit vectors around given centres."""
    vectors = centres[rng.integers(0, len(centres), count)]
    vectors += SPREAD * rng.standard_normal(vectors.shape, np.float32)
    return _unit(vectors)


def isotropic(rng: np.random.Generator, count: int, dimension: int) -> F32:
    """`[count, dimension] float32` unit vectors of any direction: nothing is near anything."""
    return _unit(rng.standard_normal((count, dimension), np.float32))


def history(rng: np.random.Generator, length: int, items: int) -> I64:
    """`[length] int64` item ids from 1 to `items`, some of them seen before."""
    seen = rng.integers(1, items + 1, length)
    again = np.flatnonzero(rng.random(length) < REPEATS)
    seen[again] = seen[(again * rng.random(len(again))).astype(np.int64)]
    return seen


def plain_history(rng: np.random.Generator, length: int, items: int) -> I64:
    """`[length] int64` item ids from 1 to `items`, no item twice while there are enough."""
    return rng.choice(items, length, replace=length > items) + 1


def _unit(vectors: F32) -> F32:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
