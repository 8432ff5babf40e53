"""Looking at the values of a search's columns in one pass each: what NumPy would do in a dozen calls."""

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I64
from muse_stream.gsu_engine.kernels.jit import Int, kernel

FINE, BOUNDS, WINDOWS, NORMS = range(4)


@kernel
def check(starts: I64, stops: I64, bounds: I64, inv_norms: F32, smallest: F32) -> Int:
    """The first of the rules that is broken: see `contract.SearchBatch.check`; `smallest` is `[1]`."""
    if bounds[0] != 0 or bounds[-1] != len(inv_norms):
        return BOUNDS
    for pair in range(len(starts)):
        if bounds[pair + 1] < bounds[pair]:
            return BOUNDS
        if starts[pair] < 0 or stops[pair] < starts[pair]:
            return WINDOWS
    for inv_norm in inv_norms:
        if not (inv_norm == 0 or smallest[0] <= inv_norm <= np.float32(1)):
            return NORMS
    return FINE
