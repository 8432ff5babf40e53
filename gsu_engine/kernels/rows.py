"""Writing and reading rows of the vector table."""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, I64, U32
from muse_stream.gsu_engine.kernels.jit import kernel

NEXT_ROW, FREE_ROWS, REFUSED_ROWS = range(3)  # FREE_ROWS: how many row numbers lie on the stack of freed ones
COUNTERS = 3


@kernel
def put(
    slots: U32, vectors: I8, norms: F32, row_of_slot: U32, rows: I8, inv_norms: F32, freed: U32, counters: I64
) -> None:
    """Write one vector per slot, in order, so that the last of several counts; inverse norm 0 takes the row away."""
    for i in range(len(slots)):
        slot = slots[i]
        if slot == 0:
            counters[REFUSED_ROWS] += 1
            continue
        row = np.int64(row_of_slot[slot])
        if norms[i] == 0:
            if row != 0:
                freed[counters[FREE_ROWS]] = row
                counters[FREE_ROWS] += 1
                row_of_slot[slot] = 0
            continue
        if row == 0:
            if counters[FREE_ROWS] > 0:
                counters[FREE_ROWS] -= 1
                row = np.int64(freed[counters[FREE_ROWS]])
            elif counters[NEXT_ROW] < len(rows):
                row = counters[NEXT_ROW]
                counters[NEXT_ROW] += 1
            else:
                counters[REFUSED_ROWS] += 1
                continue
            row_of_slot[slot] = row
        rows[row, :] = vectors[i, :]
        inv_norms[row] = norms[i]
