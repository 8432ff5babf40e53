"""What asks will cost: sizes of requests, the lengths of their users' histories, and the cost model between them.

Invariant: used on the event loop alone, and never waits: a history's length is what the user's last answer said.
"""

from collections.abc import Sequence

from muse_stream.streams.serving.cost import CostModel, HistoryLengths, Size, Stages
from muse_stream.streams.serving.line import Claim
from muse_stream.streams.serving.pipeline import Ask

PREFETCH_WAIT_SECONDS = 0.25
"""The request that a prefetch prepares comes about 50 ms after it and would load the history itself; a prefetch that
waits for much longer does the work a second time."""
FIND, SCORE = ("state_read", "gsu"), ("features", "esu")


def size_of(ask: Ask, rows: float) -> Size:
    """How much work an ask is whose user has so many behaviours."""
    request = ask.request
    candidates = len(request.items)
    shown = candidates * min(request.k, rows)
    return Size(
        requests=1,
        rows=rows,
        pairs=candidates * rows,
        scored=candidates if ask.wants_scores else 0,
        shown=shown * ((request.want != "scores") + request.features),
    )


class Predictions:
    """Predicts asks and learns from their passes.

    Args:
        costs: The model; told of every pass.

    """

    def __init__(self, costs: CostModel) -> None:
        self._costs = costs
        self._lengths = HistoryLengths()

    def claim(self, ask: Ask, now: float) -> Claim:
        """What an ask wants of the pass thread, and until when, if it begins to wait `now`, on the asks' clock."""
        candidates = len(ask.request.items)
        work_ms = self._costs.work_ms(size_of(ask, self._lengths.of(ask.request.user)))
        useful = ask.deadline if candidates else min(ask.deadline, now + PREFETCH_WAIT_SECONDS)
        return Claim(work_ms, candidates, useful)

    def learn(self, asks: Sequence[Ask], lengths: Sequence[int | None], took_ms: float) -> None:
        """Take in a pass.

        Args:
            asks: Its asks.
            lengths: Behaviours that each was answered from; None where nothing was searched.
            took_ms: What it took; what of it each stage took, the asks' clocks say.

        """
        found = [(ask, length) for ask, length in zip(asks, lengths, strict=True) if length is not None]
        for ask, length in found:
            self._lengths.learn(ask.request.user, length)
        if found:
            sizes = [size_of(ask, length) for ask, length in found]
            find, score = (1e3 * max(_seconds(ask, names) for ask in asks) for names in (FIND, SCORE))
            took = Stages(find, score, max(0.0, took_ms - find - score))
            self._costs.learn(Size.total([Size(passes=1, requests=len(asks) - len(found)), *sizes]), took)


def _seconds(ask: Ask, stages: tuple[str, ...]) -> float:
    return sum(ask.clock.seconds.get(stage, 0.0) for stage in stages)
