"""What a request will cost, in milliseconds of the pass thread: predicted from its size, learnt from passes.

Two kinds of milliseconds, because a pass's length rests on one and a promise on the other:

* *work*: coefficients times sizes. Each stage's coefficients are its seed times one factor, an exponential average of
  what the stage took over what it was to take. A factor stays within `FACTOR_MAX`: a stage that takes longer still is
  stalled, not slow, and stalls do not shrink with the pass; shorter passes would only make the queue longer.
* *time*: work times the stretch, an exponential average of what passes took over their work.

Averages are of logarithms, so that half as long and twice as long weigh the same. Invariant: factors and stretch stay
within their bounds, and one pass moves each by no more than `RATIO_MAX` to the power of `RATE`, whatever was measured.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

RATE = 0.1
"""Half of a lasting change is learnt in seven passes; the noise of a busy machine moves a prediction by percents."""
RATIO_MAX = 4.0
"""One pass that a stall made a hundred times longer counts as one that took four times its prediction."""
FACTOR_MAX = 8.0
"""Between what was measured at the start, on whatever else the machine did then, and any honest hour."""
STRETCH_MAX = 1_000.0
"""Far above what was seen on a machine with ten runnable threads per core: 50."""
LEAST = 1e-9
LENGTHS_MAX = 65_536
"""Users whose last history length is remembered: about 8 MB."""
LENGTH_SEED, TYPICAL_OF = 1_000.0, 10
"""Strangers are expected to be like the last ten or so who were answered."""


class Size(NamedTuple):
    """How much work something is. The size of a pass is the sum of its requests', and one pass.

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


class Stages(NamedTuple):
    """Milliseconds by stage of a pass: reads and search; features and network; what is left, answers above all."""

    find: float
    score: float
    rest: float


class Coefficients(NamedTuple):
    """Milliseconds per unit of each term, by stage."""

    find: Size
    score: Size
    rest: Size


SEED = Coefficients(
    find=Size(passes=0.5, requests=0.1, rows=3e-5, pairs=6e-7),
    score=Size(passes=2.0, requests=0.1, scored=0.02),
    rest=Size(requests=0.1, shown=3e-4),
)
"""To a factor of two as measured on two cores of a server with AVX-512."""


class CostModel:
    """Predicts and learns. Used by one thread at a time.

    Args:
        seed: To begin with.

    """

    def __init__(self, seed: Coefficients = SEED) -> None:
        self.begin(seed)

    def begin(self, seed: Coefficients) -> None:
        """Begin anew with these."""
        self.seed = seed
        self.factors = Stages(1.0, 1.0, 1.0)
        self.stretch = 1.0

    @property
    def overhead_ms(self) -> float:
        """Work of a pass without requests."""
        return self.work_ms(Size(passes=1))

    def work_ms(self, size: Size) -> float:
        """Work of this size."""
        return sum(factor * ms for factor, ms in zip(self.factors, self._stages(size), strict=True))

    def learn(self, size: Size, took: Stages) -> None:
        """Take in a pass: its size and the milliseconds that its stages took; a stage that took none did not run."""
        work_ms = self.work_ms(size)
        stages = zip(self.factors, took, self._stages(size), strict=True)
        self.factors = Stages(
            *(_moved(factor, ms, seed_ms, FACTOR_MAX) if ms > 0 else factor for factor, ms, seed_ms in stages)
        )
        self.stretch = _moved(self.stretch, sum(took), work_ms, STRETCH_MAX)

    def _stages(self, size: Size) -> Stages:
        """What the stages take by the seed."""
        return Stages(*(sum(ms * count for ms, count in zip(one, size, strict=True)) for one in self.seed))


def _moved(factor: float, took_ms: float, unit_ms: float, bound: float) -> float:
    """The factor by which `unit_ms` becomes what was measured, after one more measurement."""
    ratio = took_ms / max(LEAST, factor * unit_ms)
    moved: float = factor * min(max(ratio, 1 / RATIO_MAX), RATIO_MAX) ** RATE
    return min(max(moved, 1 / bound), bound)


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
        self._typical += (length - self._typical) / TYPICAL_OF
        self._lengths[user] = length
        self._lengths.move_to_end(user)
        if len(self._lengths) > self._users_max:
            self._lengths.popitem(last=False)
