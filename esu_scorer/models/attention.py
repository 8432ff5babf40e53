"""Retrieval by the network's own attention: every behaviour of the window is scored k . q, as the unit does.

Projections are computed in float64 and rounded once, so that a score does not depend on what is computed beside it;
they are computed once for each distinct pair of item and category.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from muse_stream.esu_scorer.data.block import Behaviours, Block
from muse_stream.esu_scorer.errors import TrainingError
from muse_stream.esu_scorer.features import CATEGORY, ITEM
from muse_stream.esu_scorer.models.windows import Windows, retrieve_by
from muse_stream.esu_scorer.network import Model
from muse_stream.esu_scorer.network.target_attention import TargetAttention
from muse_stream.esu_scorer.retrieval import Int64, Retrieved, Rows

FLOATS_AT_ONCE = 1 << 20
"""Of gathered keys: 4 MiB, which stay in cache until they are summed."""


@dataclass(frozen=True, eq=False, slots=True)
class _Weights:
    """Copies of what the score is made of."""

    item: Tensor
    category: Tensor
    unit: TargetAttention

    @classmethod
    @torch.no_grad()
    def of(cls, model: Model) -> _Weights:
        own = model.network.attention
        if own is None:
            msg = f"retrieval by attention needs a network with a unit other than 'none', found {model.config}"
            raise TrainingError(msg)
        unit = TargetAttention(own.query.in_features, "released" if own.released else "paper").double()
        for name in ("query", "key"):
            getattr(unit, name).load_state_dict(getattr(own, name).state_dict())
        item, category = (model.embeddings.table(name).weight.detach().cpu().clone() for name in (ITEM, CATEGORY))
        return cls(item, category, unit.requires_grad_(False))

    def embedded(self, items: Int64, categories: Int64) -> Tensor:
        """`[N, 2D] float64` of table rows."""
        rows = (self.item[torch.from_numpy(items)], self.category[torch.from_numpy(categories)])
        return torch.cat(rows, dim=1).double()


class AttentionScores:
    """Scores k . q by the attention of a model as it was when it was last followed."""

    def __init__(self, vocabularies: Mapping[str, Rows]) -> None:
        self._vocabularies = vocabularies
        self._weights: _Weights | None = None
        self._behaviours: Behaviours | None = None
        self._pair = np.empty(0, np.int64)
        self._distinct = np.empty((2, 0), np.int64)
        self._keys: Tensor | None = None

    def follow(self, model: Model) -> None:
        """See `Rule.follow`. Raises `TrainingError`: the network has no attention over the retrieved."""
        self._weights, self._keys = _Weights.of(model), None

    def __call__(self, block: Block, part: Windows) -> Tensor:
        """Scores `[b, L] float32`."""
        keys, queries = self._keys_of(block.histories.behaviours), self._queries_of(block, part.samples)
        pairs = torch.from_numpy(self._pair[part.rows])  # (b, L)
        columns = min(pairs.shape[1], max(FLOATS_AT_ONCE // keys.shape[1], 1))
        rows = max(FLOATS_AT_ONCE // (columns * keys.shape[1]), 1)
        scores = torch.empty(pairs.shape)
        for low in range(0, len(pairs), rows):
            query = queries[low : low + rows, None]  # (rows, 1, 2D)
            for left in range(0, pairs.shape[1], columns):
                some = pairs[low : low + rows, left : left + columns]
                near = keys.index_select(0, some.reshape(-1)).view(*some.shape, -1)  # (rows, columns, 2D)
                # A product and a sum, not a matrix product: repeats of an item tie exactly, wherever they stand.
                scores[low : low + rows, left : left + columns] = near.mul_(query).sum(dim=2)
        return scores

    def _queries_of(self, block: Block, samples: Int64) -> Tensor:
        """`[b, 2D] float32`, without the unit's scale, which changes no order."""
        assert self._weights is not None, "follow comes first"  # noqa: S101
        item, category = block.item[samples], block.category[samples]
        rows = self._vocabularies[ITEM].rows(item), self._vocabularies[CATEGORY].rows(category)
        unit = self._weights.unit
        return unit.activate(_linear(unit.query, self._weights.embedded(*rows))).float()

    def _keys_of(self, behaviours: Behaviours) -> Tensor:
        """Keys of the distinct pairs, `[n, 2D] float32`; `self._pair` has each behaviour's number among them."""
        assert self._weights is not None, "follow comes first"  # noqa: S101
        if behaviours is not self._behaviours:
            item = self._vocabularies[ITEM].rows(behaviours.item)
            category = self._vocabularies[CATEGORY].rows(behaviours.category)
            width = int(category.max(initial=0)) + 1
            code, self._pair = np.unique(item * width + category, return_inverse=True)
            self._distinct = np.stack((code // width, code % width))
            self._behaviours, self._keys = behaviours, None
        if self._keys is None:
            unit = self._weights.unit
            pieces = np.array_split(self._distinct, max(self._distinct.shape[1] >> 16, 1), axis=1)
            keys = [unit.activate(_linear(unit.key, self._weights.embedded(*some))).float() for some in pieces]
            self._keys = torch.cat(keys)
        return self._keys


class ByAttention:
    """The K highest of the window by the network's own attention score; of equal ones the newer."""

    def __init__(self, vocabularies: Mapping[str, Rows]) -> None:
        self._scores = AttentionScores(vocabularies)

    def follow(self, model: Model) -> None:
        """See `Rule.follow`. Raises `TrainingError`: the network has no attention over the retrieved."""
        self._scores.follow(model)

    @torch.no_grad()
    def retrieve(self, block: Block, k: int, recent: int) -> Retrieved:
        """See `Retrieval.retrieve`; there are no cosines."""
        return retrieve_by(self._scores, block, k, recent)


def _linear(layer: torch.nn.Linear, rows: Tensor) -> Tensor:
    return functional.linear(rows, layer.weight, layer.bias)
