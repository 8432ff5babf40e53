"""DIN (arXiv 1706.06978): target attention over the newest behaviours; nothing is retrieved.

The recent branch and its mean stand for it here, so that what the other models add is all that differs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from muse_stream.esu_scorer.config import BlocksConfig
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.models.recipe import SIZES, Recipe, Sizes
from muse_stream.esu_scorer.models.rules import Nothing
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Rows, Rule


def din(sizes: Sizes = SIZES) -> Recipe:
    """DIN; K is 0, whatever `sizes` says."""
    network = BlocksConfig(
        unit="none", retrieved_mean=False, retrieved_simtier=False, recent_simtier=False, tower=sizes.tower
    )
    return dataclasses.replace(sizes, k=0).recipe("din", network, _rule)


def _rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
    del source, make, vocabularies
    return Nothing()
