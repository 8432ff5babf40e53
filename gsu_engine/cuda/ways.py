"""Which way a small search takes: measured on the device at hand, never guessed.

No way changes an answer; they differ in two things:

- `whole`: every score is listed in memory, [C, L] keys that fit the second-level cache, and the best are selected from
  there; else only what reaches a threshold, guessed from a sample, is listed (see `plan`).
- `graph`: the launches are captured once and replayed (see `graphs`); else each is asked for.

A search has the shape of the smallest bounds that hold its longest window and all its candidates. Shapes were measured
at their bounds (see `measure`). What is larger than all of them, and everything before a measurement, takes
`THREE_LAUNCHES`.
"""

from collections.abc import Mapping
from typing import NamedTuple

ROWS = (1_024, 4_096, 1 << 17)  # a new user's history, an active one's, and whatever the cap of 100 000 leaves
CANDIDATES = (1, 16, 128)  # beyond, a search over 100 000 rows takes the device longer than all launches the host
WHOLE_TO = 4_096  # rows: their keys and those that are kept fit half of the shared memory of any device


class Way(NamedTuple):
    """One way."""

    whole: bool = False
    graph: bool = False

    def __str__(self) -> str:
        """For people."""
        return f"{'all scores listed' if self.whole else 'sampled'}, {'graph' if self.graph else 'launches'}"


THREE_LAUNCHES = Way()


class Shape(NamedTuple):
    """Bounds of a search."""

    rows: int
    candidates: int

    @classmethod
    def of(cls, rows: int, candidates: int) -> "Shape | None":
        """The smallest that holds these; None where none does."""
        bounds = [
            next((bound for bound in limits if asked <= bound), None)
            for asked, limits in ((rows, ROWS), (candidates, CANDIDATES))
        ]
        return None if None in bounds else cls(*(bound for bound in bounds if bound is not None))

    def __str__(self) -> str:
        """For people."""
        return f"rows <= {self.rows}, candidates <= {self.candidates}"

    @staticmethod
    def every() -> "list[Shape]":
        """All that are measured."""
        return [Shape(rows, candidates) for rows in ROWS for candidates in CANDIDATES]

    def ways(self) -> list[Way]:
        """All that there are for it, the plainest first."""
        return [Way(whole, graph) for whole in (False, True)[: 1 + (self.rows <= WHOLE_TO)] for graph in (False, True)]


class Measured(NamedTuple):
    """What a shape's measurement gave.

    Attributes:
        way: The one to take.
        seconds: Median of each way.

    """

    way: Way
    seconds: Mapping[Way, float]

    def __str__(self) -> str:
        """For people."""
        told = ", ".join(f"{way} {1e6 * seconds:.1f} us" for way, seconds in self.seconds.items())
        return f"{self.way} ({told})"


class Ways:
    """The choice for one kind of device and one width; engines of a process share it. Reads need no lock."""

    def __init__(self, always: Way | None = None) -> None:
        """Nothing is measured yet; `always`: take that one for everything, for comparisons."""
        self._always = always
        self._measured: Mapping[Shape, Measured] = {}

    @property
    def measured(self) -> Mapping[Shape, Measured]:
        """By shape; empty before a measurement."""
        return self._measured

    def learn(self, measured: Mapping[Shape, Measured]) -> None:
        """From now on take these."""
        self._measured = measured

    def way(self, rows: int, candidates: int) -> Way:
        """For a search whose longest window has so many rows, and so many candidates in all."""
        if self._always is not None:
            return self._always if rows <= WHOLE_TO else self._always._replace(whole=False)
        shape = Shape.of(rows, candidates)
        found = self._measured.get(shape) if shape else None
        return found.way if found else THREE_LAUNCHES
