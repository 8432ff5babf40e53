"""From float vectors to the int8 rows that searches are exact over, and a row's inverse norm.

A row is scaled by its own largest component: a cosine divides by the row's own norm, so it does not see the scale, and
the full int8 range is used. (Scaling a unit vector by 127, as the public data set does, leaves most bits unused: at
d = 128 it loses five times as much of the top 50.)
"""

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import F32, I8
from muse_stream.gsu_engine.errors import VectorError

SCALE = 127  # largest magnitude with a negative counterpart in int8


def quantise(vectors: NDArray[np.floating]) -> I8:
    """`round(127 v / max|v|)` per row, computed in float64, halves to even.

    Args:
        vectors: `[n, d]` floats. An all-zero row stays all zero: it is no vector, the table takes it as absent.

    Returns:
        `[n, d] int8` in -127..127.

    Raises:
        VectorError: A value is NaN or infinite, or the array is not two-dimensional.

    """
    if vectors.ndim != 2:
        message = f"vectors have shape {list(vectors.shape)}, expected [n, d]"
        raise VectorError(message)
    wide = vectors.astype(np.float64)
    finite = np.isfinite(wide).all(axis=1)
    if not finite.all():
        message = f"row {int(np.argmin(finite))} holds NaN or infinity: send finite numbers"
        raise VectorError(message)
    peak = np.abs(wide).max(axis=1, initial=0.0, keepdims=True)  # (n, 1)
    wide *= SCALE  # exact for float32 input, so that the division is the only rounding
    np.divide(wide, peak, out=wide, where=peak > 0)
    return np.rint(wide).astype(np.int8)


def inverse_norms(vectors: I8) -> F32:
    """`1 / sqrt(sum of squares)` of each `[n, d] int8` row: float64, rounded once to float32; 0 for an all-zero row."""
    squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.int64)
    norms = np.sqrt(squares.astype(np.float64))
    inverse: NDArray[np.float64] = np.divide(1.0, norms, out=np.zeros_like(norms), where=squares > 0)
    return inverse.astype(np.float32)
