"""What the search ranks by, varied: the rules of the paper's question whether a better score than cosine is worth it.

The network is MUSE's in all of them and reads the cosines of the items' vectors; only the choice of behaviours differs.
The paper tells its findings (arXiv 2512.07216: cosine on good vectors suffices), not every formula; definitions here
are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from muse_stream.esu_scorer.data.block import Block
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.models.attention import AttentionScores, ByAttention
from muse_stream.esu_scorer.models.id_vectors import Catalogue, embedded, unit
from muse_stream.esu_scorer.models.rules import WithCosines
from muse_stream.esu_scorer.models.windows import Windows, retrieve_by
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.retrieval import Float32, Int64, MakeRetrieval, Retrieval, Retrieved, Rows, Rule

COSINES_AT_ONCE = 1_000
"""Newest behaviours that a search is asked for at once: the engine's limit."""


def attention_rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
    """Learned attention: the K highest s_i = k_i . q of the network's own SA-TA, without its cosine terms."""
    return WithCosines(ByAttention(vocabularies), make(source.vectors()))


def id_cosine_rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
    """Cosine + ID cosine: the K highest cos(v_t, v_i) + cos(x_t, x_i), x = [item; category] as trained so far.

    The sum is twice the cosine of [v; x], both parts of length 1, so it is one cosine search. Behaviours without a
    vector are not retrieved; an item unknown to the vocabulary has the unknown row's x.
    """
    return WithCosines(Joined(source, make, vocabularies), make(source.vectors()))


def fused_rule(source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> Rule:
    """Fused: the K highest z(s_i) + z(cos_i), s_i as in `attention_rule`.

    z subtracts the mean and divides by the standard deviation, over the window; over equal values it is 0. A behaviour
    without a vector has z(cos_i) = 0 and is left out of the cosines' mean and deviation.
    """
    search = make(source.vectors())
    return WithCosines(Fused(search, vocabularies), search)


class Joined:
    """Cosine search over [vector; ID embedding] of a model as it was when it was last followed."""

    def __init__(self, source: Source, make: MakeRetrieval, vocabularies: Mapping[str, Rows]) -> None:
        self._source = source
        self._make = make
        self._vocabularies = vocabularies
        self._catalogue = Catalogue.of(source)
        self._search: Retrieval | None = None

    def follow(self, model: Model) -> None:
        """See `Rule.follow`."""
        self._search = self._make(self._vectors(model))

    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`; the cosines are the means of both."""
        assert self._search is not None, "follow comes first"  # noqa: S101
        return self._search.retrieve(block, k, recent)

    def _vectors(self, model: Model) -> Iterator[tuple[Int64, Float32]]:
        for items, vectors in self._source.vectors():
            ids = embedded(model, self._vocabularies, items, self._catalogue.category_of(items))
            yield items, np.hstack((unit(vectors), ids))


class Fused:
    """The K highest sums of standardised attention scores and cosines; of equal ones the newer."""

    def __init__(self, search: Retrieval, vocabularies: Mapping[str, Rows]) -> None:
        self._search = search
        self._attention = AttentionScores(vocabularies)

    def follow(self, model: Model) -> None:
        """See `Rule.follow`. Raises `TrainingError`: the network has no attention over the retrieved."""
        self._attention.follow(model)

    @torch.no_grad()
    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`; there are no cosines."""
        return retrieve_by(self._scores, block, k, recent)

    def _scores(self, block: Block, part: Windows) -> Tensor:
        cosine, known = window_cosines(self._search, block, part)
        attention = standardised(self._attention(block, part), torch.from_numpy(part.present))
        similarity = standardised(torch.from_numpy(cosine), torch.from_numpy(known))
        return (attention + similarity).float()


def window_cosines(search: Retrieval, block: Block, part: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of every behaviour of the windows, `[b, L] float32`, and whether there is one, `[b, L] bool`."""
    samples = block.take(part.samples)
    found = []
    for skipped in range(0, part.places.shape[1], COSINES_AT_ONCE):
        older = _without_newest(samples, skipped)
        found.append(search.retrieve(older, 1, min(COSINES_AT_ONCE, part.places.shape[1] - skipped)))
    return np.hstack([one.recent_cosine for one in found]), np.hstack([one.recent_present for one in found])


def standardised(scores: Tensor, present: Tensor) -> Tensor:
    """Each row's z, `[b, L] float64`: over what is present; 0 where not, and where all values are equal."""
    wide = scores.double().masked_fill(~present, 0.0)
    count = present.sum(dim=1, keepdim=True).clamp(min=1)
    centred = (wide - wide.sum(dim=1, keepdim=True) / count).masked_fill(~present, 0.0)
    deviation = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()
    # Equal values have a deviation of rounding's size, not 0.
    flat = deviation <= 1e-9 * wide.abs().amax(dim=1, keepdim=True)
    return torch.where(flat, 0.0, centred / deviation)


def _without_newest(block: Block, count: int) -> Block:
    return replace(block, stop=np.maximum(block.stop - count, block.start))
