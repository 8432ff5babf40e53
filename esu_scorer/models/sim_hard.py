"""SIM-hard (arXiv 2006.05639): of the behaviours in the candidate's category the newest K, then target attention."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from muse_stream.esu_scorer.config import BlocksConfig
from muse_stream.esu_scorer.data.block import Behaviours, Block
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.models.recipe import SIZES, Recipe, Sizes
from muse_stream.esu_scorer.models.rules import Fixed
from muse_stream.esu_scorer.models.windows import nothing
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Retrieved, Rows, Rule


def sim_network(sizes: Sizes) -> BlocksConfig:
    """The network of SIM and TWIN: MUSE's with plain target attention and without SimTier; it reads no cosine."""
    return BlocksConfig(unit="target_attention", retrieved_simtier=False, recent_simtier=False, tower=sizes.tower)


def sim_hard(sizes: Sizes = SIZES) -> Recipe:
    """SIM-hard."""
    return sizes.recipe("sim-hard", sim_network(sizes), _rule)


def _rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
    del source, make, vocabularies
    return Fixed(SameCategory())


class SameCategory:
    """Retrieval of the newest behaviours in the candidate's category; category 0, not known, is that of nobody.

    Behaviours are sorted by category, then row, once for as long as blocks share them; a sample is two look-ups.
    """

    def __init__(self) -> None:
        self._behaviours: Behaviours | None = None
        self._categories = self._order = self._codes = np.empty(0, np.int64)

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`; there are no cosines."""
        found = nothing(len(block), k, recent)
        behaviours = block.histories.behaviours
        if not len(behaviours):
            return found
        self._index(behaviours)
        lows = block.histories.lows[block.owner]
        number = np.searchsorted(self._categories, block.category)
        number = np.minimum(number, len(self._categories) - 1)
        known = (block.category != 0) & (self._categories[number] == block.category)
        first = np.searchsorted(self._codes, number * len(behaviours) + lows + block.start)
        end = np.searchsorted(self._codes, number * len(behaviours) + lows + block.stop)
        rank = end[:, None] - 1 - np.arange(k)  # (B, K) newest first
        some = (rank >= first[:, None]) & known[:, None]
        found.places[some] = (self._order[np.maximum(rank, 0)] - lows[:, None])[some]
        return found

    def _index(self, behaviours: Behaviours) -> None:
        """Sort by category, unless they are sorted: row i has the code (number of its category) * M + i."""
        if behaviours is self._behaviours:
            return
        self._categories, number = np.unique(behaviours.category, return_inverse=True)
        self._order = np.argsort(number, kind="stable")
        self._codes = number[self._order] * len(behaviours) + self._order
        self._behaviours = behaviours
