"""A user's behaviours kept between two reads, so that the second one reads only what came since.

Invariants: a number is given to one behaviour of a store and never again, so a row that was read once is that number's
row for ever; which rows are live, every read asks the store. Rows are only added behind those that are there, so a
`Sequence` that was given out stays what it was.
"""

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.columns import BEHAVIOUR

ROOM = 1.25
"""Rows that a new buffer has room for, by those that it holds: an active user's history is copied now and then only."""


class Remembered:
    """Rows `[start, stop)` of one user of one open store. Used by one thread at a time."""

    def __init__(self) -> None:
        self.start = self.stop = 0
        self._buffer: NDArray[np.void] = np.empty(0, BEHAVIOUR)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._buffer.nbytes

    def holds(self, number: int, stop: int) -> bool:
        """Whether the row with this number is here, and none from beyond the sequence's `stop`."""
        return self.start <= number < self.stop <= stop

    def replace(self, start: int, rows: NDArray[np.void]) -> None:
        """Hold these rows, the first of which has number `start`, and no others."""
        self.start = self.stop = start
        self._buffer = np.empty(0, BEHAVIOUR)
        self.extend(rows)

    def extend(self, rows: NDArray[np.void]) -> None:
        """Add the rows behind the last one."""
        count = self.stop - self.start
        if count + len(rows) > len(self._buffer):
            grown = np.empty(int((count + len(rows)) * ROOM), BEHAVIOUR)
            grown[:count] = self._buffer[:count]
            self._buffer = grown
        self._buffer[count : count + len(rows)] = rows
        self.stop += len(rows)

    def rows_from(self, number: int) -> NDArray[np.void]:
        """Rows from a number on, read-only."""
        rows = self._buffer[number - self.start : self.stop - self.start]
        rows.flags.writeable = False
        return rows

    def drop_before(self, number: int) -> None:
        """Let rows go that are not live any more, once they are as many as the others."""
        dead = number - self.start
        if dead > 0 and 2 * dead >= self.stop - self.start:
            self._buffer = self._buffer[dead : self.stop - self.start].copy()
            self.start = number
