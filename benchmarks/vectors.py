"""Made-up vectors and histories that behave like real ones: mixtures of interests, with repeats."""

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

INTERESTS = 64
SPREAD = 0.7  # of an item around its interest, per component: neighbours at cosines of 0.6 to 0.9, as with real items
REPEATS = 0.3  # of a long history's behaviours are with an item seen before


def unit_vectors(rng: np.random.Generator, count: int, dimension: int) -> F32:
    """`[count, dimension] float32` unit vectors around `INTERESTS` centres."""
    centres = rng.standard_normal((INTERESTS, dimension), np.float32)
    vectors = centres[rng.integers(0, INTERESTS, count)]
    vectors += SPREAD * rng.standard_normal((count, dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def history(rng: np.random.Generator, length: int, items: int) -> I64:
    """`[length] int64` item ids from 1 to `items`."""
    seen = rng.integers(1, items + 1, length)
    again = np.flatnonzero(rng.random(length) < REPEATS)
    seen[again] = seen[(again * rng.random(len(again))).astype(np.int64)]
    return seen
