"""SIM-soft (arXiv 2006.05639): cosine on the trained [item; category] embeddings, then target attention.

The tables are published to the search anew whenever the rule follows the model; nothing is learnt through retrieval.
An item that the vocabulary does not know has no vector.
"""

from __future__ import annotations

from collections.abc import Mapping

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.models.id_vectors import Catalogue, id_vectors
from muse_stream.esu_scorer.models.recipe import SIZES, Recipe, Sizes
from muse_stream.esu_scorer.models.sim_hard import sim_network
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.retrieval import MakeRetrieval, Retrieval, Retrieved, Rows, Rule


def sim_soft(sizes: Sizes = SIZES) -> Recipe:
    """SIM-soft."""
    return sizes.recipe("sim-soft", sim_network(sizes), id_rule)


def id_rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
    """Cosine search on ID embeddings."""
    return ById(Catalogue.of(source), make, vocabularies)


class ById:
    """Cosine search over the ID embeddings of a model as it was when it was last followed."""

    def __init__(self, catalogue: Catalogue, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> None:
        self._catalogue = catalogue
        self._make = make
        self._vocabularies = vocabularies
        self._search: Retrieval | None = None

    def follow(self, model: Model) -> None:
        """See `Rule.follow`."""
        self._search = self._make(id_vectors(model, self._vocabularies, self._catalogue))

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`; the cosines are those of ID embeddings."""
        assert self._search is not None, "follow comes first"  # noqa: S101
        return self._search.retrieve(block, k, recent)
