"""Embedding tables, apart from the network that reads them.

Invariant: one table per feature, row 0 is the unknown id; the item and the category table are shared by candidates,
recent and retrieved behaviours. Gradients are sparse: tables and dense parameters can have optimisers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from muse_stream.esu_scorer.features import CATEGORY, ITEM, FeatureSpec
from muse_stream.esu_scorer.network.init import init_table


@dataclass(frozen=True, eq=False, slots=True)
class RowBatch:
    """A `ScoreBatch` as tensors, ids replaced by table rows (int64); `owners [T]` is each candidate's user."""

    user_features: Tensor
    recent_item: Tensor
    recent_category: Tensor
    recent_mask: Tensor
    candidate_features: Tensor
    recent_cosine: Tensor
    recent_cosine_present: Tensor
    retrieved_item: Tensor
    retrieved_category: Tensor
    retrieved_cosine: Tensor
    retrieved_mask: Tensor
    owners: Tensor
    bounds: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True)
class EmbeddedBatch:
    """What a network reads: embeddings, cosines, masks. A behaviour is `[item; category]`, width 2D."""

    user: Tensor  # [P, user width]
    recent: Tensor  # [P, R, 2D]
    recent_mask: Tensor  # [P, R] bool
    candidate: Tensor  # [T, candidate width], its first 2D = [item; category]
    recent_cosine: Tensor  # [T, R]
    recent_cosine_present: Tensor  # [T, R] bool
    retrieved: Tensor  # [T, K, 2D]
    retrieved_cosine: Tensor  # [T, K]
    retrieved_mask: Tensor  # [T, K] bool
    owners: Tensor  # [T] int64: row in `user` and `recent`
    bounds: tuple[int, ...]  # P + 1: candidates of user p are bounds[p]:bounds[p + 1]


class Embeddings(nn.Module):
    """All tables of `spec`; `row_counts` gives each feature's number of rows, the unknown row included."""

    def __init__(self, spec: FeatureSpec, row_counts: Mapping[str, int]) -> None:
        super().__init__()
        self.spec = spec
        # The prefix keeps a feature called "keys" or "type" apart from ModuleDict's own attributes.
        self.tables = nn.ModuleDict(
            {f"of_{feature.name}": _unset(row_counts[feature.name], feature.width) for feature in spec.features}
        )

    def table(self, name: str) -> nn.Embedding:
        """Return the table of one feature."""
        table = self.tables[f"of_{name}"]
        assert isinstance(table, nn.Embedding)  # noqa: S101
        return table

    def reset(self, generator: Generator) -> None:
        """Draw first rows."""
        for feature in self.spec.features:
            init_table(self.table(feature.name), generator)

    def forward(self, rows: RowBatch) -> EmbeddedBatch:
        """Look up every id of the batch."""
        return EmbeddedBatch(
            user=self._side_by_side(self.spec.user_names, rows.user_features),
            recent=self._behaviours(rows.recent_item, rows.recent_category),
            recent_mask=rows.recent_mask,
            candidate=self._side_by_side(self.spec.candidate_names, rows.candidate_features),
            recent_cosine=rows.recent_cosine,
            recent_cosine_present=rows.recent_cosine_present,
            retrieved=self._behaviours(rows.retrieved_item, rows.retrieved_category),
            retrieved_cosine=rows.retrieved_cosine,
            retrieved_mask=rows.retrieved_mask,
            owners=rows.owners,
            bounds=rows.bounds,
        )

    def _side_by_side(self, names: tuple[str, ...], rows: Tensor) -> Tensor:
        parts = [self.table(name)(rows[:, column]) for column, name in enumerate(names)]  # (N, width of name)
        return torch.cat(parts, dim=1) if parts else self.table(ITEM).weight.new_zeros(len(rows), 0)  # (N, all widths)

    def _behaviours(self, items: Tensor, categories: Tensor) -> Tensor:
        return torch.cat((self.table(ITEM)(items), self.table(CATEGORY)(categories)), dim=-1)  # (..., 2D)


def _unset(rows: int, width: int) -> nn.Embedding:
    """A table without first weights: to draw them where tensors have no data, Torch loads its compiler, 140 MiB."""
    made: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        torch.empty(rows, width), freeze=False, sparse=True
    )
    return made
