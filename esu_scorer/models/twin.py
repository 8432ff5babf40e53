"""TWIN (arXiv 2302.02352): what is retrieved has the highest attention score, by the same weights in both stages.

Ours is its idea on MUSE's ground: one head, the same embeddings, no split of inherent and crossing features.
"""

from __future__ import annotations

from collections.abc import Mapping

from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.models.attention import ByAttention
from muse_stream.esu_scorer.models.recipe import SIZES, Recipe, Sizes
from muse_stream.esu_scorer.models.sim_hard import sim_network
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Rows, Rule


def twin(sizes: Sizes = SIZES) -> Recipe:
    """TWIN."""
    return sizes.recipe("twin", sim_network(sizes), _rule)


def _rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
    del source, make
    return ByAttention(vocabularies)
