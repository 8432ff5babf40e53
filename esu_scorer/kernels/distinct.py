"""The distinct behaviours among the retrieved ones: candidates of one user retrieve the same few over and over.

A behaviour is an item and its category. Each is entered into a hash table once and has a number; a cell of the batch
holds the number of its behaviour, and what a mask leaves out none.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.esu_scorer.kernels.jit import I32, I64, Flags, Int, inner
from muse_stream.esu_scorer.kernels.lookup import mix

NOBODY = np.int32(-1)
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio's: keeps (a, b) apart from (b, a)


@inner
def number_behaviours(
    items: I64, categories: I64, mask: Flags, cells: I32, slots: I32, item_of: I64, category_of: I64
) -> Int:
    """Number the behaviours of `[n, K]` rows in the order of their first cells; returns how many there are.

    Args:
        items: `[n, K]`, as are `categories` and `mask`.
        categories: See `items`.
        mask: False: nothing is there.
        cells: Out: `[n, K]` numbers, `NOBODY` under the mask.
        slots: Room for the hash table: a power of two, more than n * K.
        item_of: Out: item per number.
        category_of: Out: category per number.

    """
    count, last = 0, np.uint64(len(slots) - 1)
    slots[:] = NOBODY
    for row in range(items.shape[0]):
        for column in range(items.shape[1]):
            cells[row, column] = NOBODY
            if not mask[row, column]:
                continue
            item, category = items[row, column], categories[row, column]
            slot = mix(np.uint64(item) + np.uint64(category) * FACTOR) & last
            number = slots[slot]
            while number != NOBODY and (item_of[number] != item or category_of[number] != category):
                slot = (slot + np.uint64(1)) & last
                number = slots[slot]
            if number == NOBODY:
                number = np.int32(count)
                slots[slot] = number
                item_of[count], category_of[count] = item, category
                count += 1
            cells[row, column] = number
    return count
