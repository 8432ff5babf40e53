"""How much of what is served has vectors in another space."""

import numpy as np

from muse_stream.gsu_engine import VectorTable


def coverage(served: VectorTable, other: VectorTable) -> float:
    """Share of the items with a vector in the served space that have one in the other, 0..1; 1 where there are none.

    Both tables are of one index.
    """
    with served.index.shared():
        slots = served.index.slots_in_use
        wanted = served.held(slots)
        there = int(np.count_nonzero(wanted & other.held(slots)))
    count = int(np.count_nonzero(wanted))
    return there / count if count else 1.0
