"""The MUSE network (arXiv 2512.07216, released form) over embedded batches.

    candidate x [T, 2D] ─┬─ RecentAttention over recent x [P, R, 2D] ─► [T, 2D] ─┐
                         └─ SaTa over retrieved x [T, K, 2D], cosines ─► [T, 2D] ─┤
    mean of retrieved x [T, 2D], mean of recent x [P, 2D] ────────────────────────┼─► Tower ─► logits [T, 2]
    candidate features [T, 4D], user features [P, 4.5D] ──────────────────────────┤
    SimTier of recent cosines [T, 22], of retrieved cosines [T, 22] ──────────────┘

Invariant: masked rows change nothing; a user without behaviours has zeros in every behaviour block. What belongs to the
user is computed once per user and spread over its candidates when the tower's input is joined.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from muse_stream.esu_scorer.config import MuseConfig
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.network.embeddings import EmbeddedBatch
from muse_stream.esu_scorer.network.masks import masked_mean
from muse_stream.esu_scorer.network.recent import RecentAttention
from muse_stream.esu_scorer.network.sa_ta import SaTa
from muse_stream.esu_scorer.network.simtier import BINS, SimTier
from muse_stream.esu_scorer.network.tower import Tower, probability


@dataclass(frozen=True, eq=False, slots=True)
class Forward:
    """A network's result: `logits [T, 2]`, `probability [T, 2]` and its named intermediate tensors."""

    logits: Tensor
    probability: Tensor
    stages: dict[str, Tensor] = field(default_factory=dict)


class MuseNetwork(nn.Module):
    """MUSE over the features of `spec`. Stages: `recent_simtier`, `retrieved_simtier` `[T, 22]`; `recent_attention`,
    `sa_ta` `[T, 2D]`; `recent_weights [T, R]`, `retrieved_weights [T, K]`; `tower_input [T, inputs]`.
    """  # noqa: D205

    def __init__(self, spec: FeatureSpec, config: MuseConfig) -> None:
        super().__init__()
        behaviour = 2 * spec.width
        self.behaviour_width = behaviour
        self.recent = RecentAttention(behaviour)
        self.sa_ta = SaTa(behaviour, config.form)
        self.recent_simtier = SimTier()
        self.retrieved_simtier = SimTier()
        self.tower = Tower(4 * behaviour + spec.candidate_width + spec.user_width + 2 * BINS, config.tower)

    def reset(self, generator: Generator) -> None:
        """Draw first weights; one generator state gives one network."""
        for block in (self.recent, self.sa_ta, self.recent_simtier, self.retrieved_simtier, self.tower):
            block.reset(generator)

    def forward(self, batch: EmbeddedBatch) -> Forward:
        """Score T candidates."""
        stages = self._blocks(batch)
        tower_input = torch.cat(
            (
                stages["recent_attention"],  # (T, 2D)
                stages["sa_ta"],  # (T, 2D)
                masked_mean(batch.retrieved, batch.retrieved_mask),  # (T, 2D)
                masked_mean(batch.recent, batch.recent_mask)[batch.owners],  # (P, 2D) -> (T, 2D)
                batch.candidate,  # (T, candidate width)
                batch.user[batch.owners],  # (P, user width) -> (T, user width)
                stages["recent_simtier"],  # (T, 22)
                stages["retrieved_simtier"],  # (T, 22)
            ),
            dim=1,
        )
        logits: Tensor = self.tower(tower_input)  # (T, 2)
        return Forward(logits, probability(logits), {**stages, "tower_input": tower_input})

    def _blocks(self, batch: EmbeddedBatch) -> dict[str, Tensor]:
        """Return the stages that look at behaviours."""
        target = batch.candidate[:, : self.behaviour_width]  # (T, 2D)
        recent_mask = batch.recent_mask[batch.owners]  # (P, R) -> (T, R)
        near = batch.recent_cosine_present & recent_mask
        # Padding may hold anything, NaN included, and NaN times 0 is NaN.
        recent_cosine = batch.recent_cosine.masked_fill(~near, 0.0)
        cosine = batch.retrieved_cosine.masked_fill(~batch.retrieved_mask, 0.0)
        recent_attention, recent_weights = self.recent(target, batch.recent, recent_mask, batch.bounds)
        sa_ta, retrieved_weights = self.sa_ta(target, batch.retrieved, cosine, batch.retrieved_mask)
        return {
            "recent_simtier": self.recent_simtier(recent_cosine, near),
            "retrieved_simtier": self.retrieved_simtier(cosine, batch.retrieved_mask),
            "recent_attention": recent_attention,
            "recent_weights": recent_weights,
            "sa_ta": sa_ta,
            "retrieved_weights": retrieved_weights,
        }
