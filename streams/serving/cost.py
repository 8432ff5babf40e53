"""What a request will cost, in milliseconds of the pass thread: predicted from its size, learnt from passes.

A pass takes `sum over terms of coefficient x size`. After a pass that took r times its prediction every coefficient is
multiplied by r to the power of (`RATE` x the term's share of the prediction): an exponential average of logarithms, in
which a term that hardly mattered hardly moves.

Invariant: every coefficient stays positive and within `DRIFT_MAX` of its seed, and one pass moves a prediction by no
more than a factor of `RATIO_MAX`, whatever was measured.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

RATE = 0.1
"""Half of a lasting change is learnt in seven passes; the noise of a busy machine moves a prediction by percents."""
RATIO_MAX = 4.0
"""One pass that a stall made a hundred times longer counts as one that took four times its prediction."""
DRIFT_MAX = 100.0
"""Between what was measured at the start and the worst or best hour of the same machine."""
LENGTHS_MAX = 65_536
"""Users whose last history length is remembered: about 8 MB."""
LENGTH_SEED = 1_000.0


class Size(NamedTuple):
    """How much work something is. The sizes of a pass are the sums of its requests', and one pass.

    Attributes:
        passes: Passes.
        requests: Requests.
        rows: Behaviours read from stores.
        pairs: Candidates times behaviours searched.
        scored: Candidates that the network scores.
        shown: Candidates times behaviours that the answer shows.

    """

    passes: float = 0.0
    requests: float = 0.0
    rows: float = 0.0
    pairs: float = 0.0
    scored: float = 0.0
    shown: float = 0.0

    @classmethod
    def total(cls, sizes: Iterable["Size"]) -> "Size":
        """The sum."""
        return cls(*map(sum, zip(*sizes, strict=True)))


SEED = Size(passes=3.0, requests=0.3, rows=3e-5, pairs=6e-7, scored=0.02, shown=3e-4)
"""Milliseconds each, to a factor of two as measured on two cores of a server with AVX-512."""


class CostModel:
    """Predicts and learns. Used by one thread at a time.

    Args:
        seed: Milliseconds per unit of each term, to begin with.

    """

    def __init__(self, seed: Size = SEED) -> None:
        self._seed = seed
        self.coefficients = seed

    def milliseconds(self, size: Size) -> float:
        """What a piece of work of this size is predicted to take."""
        return sum(ms * count for ms, count in zip(self.coefficients, size, strict=True))

    def begin(self, **milliseconds: float) -> None:
        """Begin anew, with what a unit of these terms was measured to take; each above 0."""
        self.coefficients = self._seed = self._seed._replace(**milliseconds)

    def learn(self, size: Size, milliseconds: float) -> None:
        """Take in what a piece of work took."""
        predicted = self.milliseconds(size)
        if predicted <= 0:
            return
        ratio = min(max(milliseconds / predicted, 1 / RATIO_MAX), RATIO_MAX)
        terms = zip(self.coefficients, size, self._seed, strict=True)
        moved = (_moved(ms, ratio ** (RATE * ms * count / predicted), seed) for ms, count, seed in terms)
        self.coefficients = Size(*moved)


def _moved(ms: float, factor: float, seed: float) -> float:
    return min(max(ms * factor, seed / DRIFT_MAX), seed * DRIFT_MAX)


class HistoryLengths:
    """Behaviours that users had when they were last answered; strangers have the average of others. One thread.

    Args:
        users_max: Users remembered; the one not seen for the longest is forgotten.

    """

    def __init__(self, users_max: int = LENGTHS_MAX) -> None:
        self._users_max = users_max
        self._lengths: OrderedDict[int, int] = OrderedDict()
        self._typical = LENGTH_SEED

    def of(self, user: int) -> float:
        """The length expected."""
        return self._lengths.get(user, self._typical)

    def learn(self, user: int, length: int) -> None:
        """Take in the length that an answer was computed from."""
        self._typical += RATE * (length - self._typical)
        self._lengths[user] = length
        self._lengths.move_to_end(user)
        if len(self._lengths) > self._users_max:
            self._lengths.popitem(last=False)
