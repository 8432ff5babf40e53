"""MUSE (arXiv 2512.07216): cosine on the items' vectors, and the network that reads these cosines."""

from __future__ import annotations

from collections.abc import Mapping

from muse_stream.esu_scorer.config import MuseConfig, NetworkConfig
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.models.recipe import SIZES, MakeRule, Recipe, Sizes
from muse_stream.esu_scorer.models.rules import Fixed
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Rows, Rule, Vectors


def muse(
    sizes: Sizes = SIZES,
    *,
    name: str = "muse",
    network: NetworkConfig | None = None,
    vectors: Vectors | None = None,
) -> Recipe:
    """MUSE, or a variant of it.

    Args:
        sizes: K, R, L, tower.
        name: Of the variant.
        network: In the place of MUSE's; its tower is used then, not that of `sizes`.
        vectors: In the place of the source's, for search and network; iterable anew for each rule.

    """
    return sizes.recipe(name, network or MuseConfig(tower=sizes.tower), search_rule(vectors))


def search_rule(vectors: Vectors | None = None) -> MakeRule:
    """Cosine search over `vectors`; None = the source's own."""

    def rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
        del vocabularies
        return Fixed(make(source.vectors() if vectors is None else vectors))

    return rule
