"""Rules without learnt parts, and cosines beside a rule that has none."""

from __future__ import annotations

import numpy as np

from muse_stream.esu_scorer.data.block import Behaviours, Block, Histories
from muse_stream.esu_scorer.models.windows import nothing
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.retrieval import Int64, Retrieval, Retrieved, Rule


class Fixed:
    """A retrieval that does not depend on the model."""

    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval

    def follow(self, model: Model) -> None:
        """Nothing to follow."""

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`."""
        return self._retrieval.retrieve(block, k, recent)


class Nothing:
    """Retrieves nothing and knows no cosines."""

    def follow(self, model: Model) -> None:
        """Nothing to follow."""

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`."""
        return nothing(len(block), k, recent)


class WithCosines:
    """What one rule chooses, with the cosines of a search.

    So the choice can be varied while the network keeps reading the same cosines. A chosen behaviour without a vector
    has the cosine 0.
    """

    def __init__(self, choice: Rule, search: Retrieval) -> None:
        self._choice = choice
        self._search = search

    def follow(self, model: Model) -> None:
        """Let the choice follow."""
        self._choice.follow(model)

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`."""
        places = self._choice.retrieve(block, k, 0).places
        newest = block.stop[:, None] - 1 - np.arange(recent)  # (B, R)
        newest[newest < block.start[:, None]] = -1
        cosine, present = cosines_of(self._search, block, np.hstack((places, newest)))
        return Retrieved(places, cosine[:, :k], cosine[:, k:], present[:, k:])


def cosines_of(search: Retrieval, block: Block, places: Int64) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of each candidate and behaviours of its user, `[B, N] float32`, 0 and False where there is none.

    The search itself is asked: it gives the cosines of the newest behaviours, so each sample comes with a history of
    its own, which holds just these behaviours.

    Args:
        search: What knows the vectors.
        block: B samples.
        places: `[B, N] int64`, -1 = none.

    """
    count, width = places.shape
    rows = block.histories.lows[block.owner, None] + np.maximum(places, 0)
    rows = np.minimum(rows, len(block.histories.behaviours) - 1)  # an empty history may lie behind the last row
    known = len(block.histories.behaviours) > 0
    items = np.where(places >= 0, block.histories.behaviours.item[rows], 0) if known else np.zeros_like(places)
    flat = np.ascontiguousarray(items[:, ::-1]).reshape(-1)  # oldest first
    blank = np.zeros(len(flat), np.int64)
    lows = np.arange(count) * width
    alone = Block(
        histories=Histories(
            np.arange(count), lows, lows + width, Behaviours(flat, blank, np.zeros(len(flat), np.uint8), blank)
        ),
        owner=np.arange(count),
        start=np.zeros(count, np.int64),
        stop=np.full(count, width, np.int64),
        candidate_features=block.candidate_features,
        user_features=block.user_features,
        time_ms=block.time_ms,
        label=block.label,
    )
    found = search.retrieve(alone, 1, width)
    return found.recent_cosine, found.recent_present
