"""The MUSE network (arXiv 2512.07216, released form) over embedded batches.

    candidate x [T, 2D] ─┬─ RecentAttention over recent x [P, R, 2D] ─► [T, 2D] ─┐
                         └─ SaTa over retrieved x [T, K, 2D], cosines ─► [T, 2D] ─┤
    mean of retrieved x [T, 2D], mean of recent x [P, 2D] ────────────────────────┼─► Tower ─► logits [T, 2]
    candidate features [T, 4D], user features [P, 4.5D] ──────────────────────────┤
    SimTier of recent cosines [T, 22], of retrieved cosines [T, 22] ──────────────┘

Baselines and ablations are the same network with blocks switched off (`BlocksConfig`): a block that is off has no
parameters, no stage and no part in the tower's input.

Invariant: masked rows change nothing; a user without behaviours has zeros in every behaviour block. What belongs to the
user is computed once per user and spread over its candidates when the tower's input is joined.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from muse_stream.esu_scorer.config import BlocksConfig, NetworkConfig, blocks_of
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.network.embeddings import EmbeddedBatch
from muse_stream.esu_scorer.network.masks import masked_mean
from muse_stream.esu_scorer.network.recent import RecentAttention
from muse_stream.esu_scorer.network.sa_ta import SaTa
from muse_stream.esu_scorer.network.simtier import BINS, SimTier
from muse_stream.esu_scorer.network.target_attention import TargetAttention
from muse_stream.esu_scorer.network.tower import Tower, probability


@dataclass(frozen=True, eq=False, slots=True)
class Forward:
    """A network's result: `logits [T, 2]`, `probability [T, 2]` and its named intermediate tensors."""

    logits: Tensor
    probability: Tensor
    stages: dict[str, Tensor] = field(default_factory=dict)


class MuseNetwork(nn.Module):
    """MUSE over the features of `spec`. Stages: `recent_simtier`, `retrieved_simtier` `[T, 22]`; `recent_attention`,
    `sa_ta` or `target_attention` `[T, 2D]`; `recent_weights [T, R]`, `retrieved_weights [T, K]`; `tower_input
    [T, inputs]`; `before_step [T, 2]`, what the last Dice reads.
    """  # noqa: D205

    sa_ta: SaTa  # where it is the unit
    target_attention: TargetAttention  # likewise

    def __init__(self, spec: FeatureSpec, config: NetworkConfig) -> None:
        super().__init__()
        blocks = blocks_of(config)
        behaviour = 2 * spec.width
        self.behaviour_width = behaviour
        self.retrieved_mean = blocks.retrieved_mean
        self.recent = RecentAttention(behaviour)
        self.unit = blocks.unit
        if blocks.unit != "none":
            self.add_module(blocks.unit, _UNITS[blocks.unit](behaviour, blocks.form))
        self.recent_simtier = SimTier() if blocks.recent_simtier else None
        self.retrieved_simtier = SimTier() if blocks.retrieved_simtier else None
        self.tower = Tower(tower_inputs(spec, blocks), blocks.tower)

    def reset(self, generator: Generator) -> None:
        """Draw first weights; one generator state gives one network."""
        for block in (self.recent, self.attention, self.recent_simtier, self.retrieved_simtier, self.tower):
            if block is not None:
                block.reset(generator)

    @property
    def attention(self) -> TargetAttention | None:
        """The attention over the retrieved; None where there is none."""
        unit = getattr(self, self.unit, None)
        assert unit is None or isinstance(unit, TargetAttention)  # noqa: S101
        return unit

    def forward(self, batch: EmbeddedBatch) -> Forward:
        """Score T candidates."""
        stages = self._recent_stages(batch) | self._retrieved_stages(batch)
        tower_input = torch.cat([part for part in self._tower_parts(batch, stages) if part is not None], dim=1)
        before_step = self.tower.before_step(tower_input)  # (T, 2)
        logits = self.tower.step(before_step)  # (T, 2)
        found = {**stages, "tower_input": tower_input, "before_step": before_step}
        return Forward(logits, probability(logits), found)

    def _tower_parts(self, batch: EmbeddedBatch, stages: dict[str, Tensor]) -> tuple[Tensor | None, ...]:
        """The parts of the tower's input, in order; None where the block is off."""
        return (
            stages["recent_attention"],  # (T, 2D)
            stages.get(self.unit),  # (T, 2D)
            masked_mean(batch.retrieved, batch.retrieved_mask) if self.retrieved_mean else None,  # (T, 2D)
            masked_mean(batch.recent, batch.recent_mask)[batch.owners],  # (P, 2D) -> (T, 2D)
            batch.candidate,  # (T, candidate width)
            batch.user[batch.owners],  # (P, user width) -> (T, user width)
            stages.get("recent_simtier"),  # (T, 22)
            stages.get("retrieved_simtier"),  # (T, 22)
        )

    def _recent_stages(self, batch: EmbeddedBatch) -> dict[str, Tensor]:
        """Return the stages that look at the recent behaviours."""
        target = batch.candidate[:, : self.behaviour_width]  # (T, 2D)
        mask = batch.recent_mask[batch.owners]  # (P, R) -> (T, R)
        attention, weights = self.recent(target, batch.recent, mask, batch.owners, batch.bounds)
        stages = {"recent_attention": attention, "recent_weights": weights}
        if self.recent_simtier is not None:
            near = batch.recent_cosine_present & mask
            # Padding may hold anything, NaN included, and NaN times 0 is NaN.
            stages["recent_simtier"] = self.recent_simtier(batch.recent_cosine.masked_fill(~near, 0.0), near)
        return stages

    def _retrieved_stages(self, batch: EmbeddedBatch) -> dict[str, Tensor]:
        """Return the stages that look at the retrieved behaviours."""
        target = batch.candidate[:, : self.behaviour_width]  # (T, 2D)
        mask = batch.retrieved_mask
        cosine = batch.retrieved_cosine.masked_fill(~mask, 0.0)
        stages: dict[str, Tensor] = {}
        attention = self.attention
        if attention is not None:
            stages[self.unit], stages["retrieved_weights"] = attention(target, batch.retrieved, cosine, mask)
        if self.retrieved_simtier is not None:
            stages["retrieved_simtier"] = self.retrieved_simtier(cosine, mask)
        return stages


_UNITS: dict[str, type[TargetAttention]] = {"target_attention": TargetAttention, "sa_ta": SaTa}


def tower_blocks(spec: FeatureSpec, blocks: BlocksConfig) -> tuple[tuple[str, int], ...]:
    """Names and widths of the parts of the tower's input, in order; a block that is off has none."""
    behaviour, unit = 2 * spec.width, blocks.unit
    return (
        ("recent_attention", behaviour),
        *(((unit, behaviour),) if unit != "none" else ()),
        *((("retrieved_mean", behaviour),) if blocks.retrieved_mean else ()),
        ("recent_mean", behaviour),
        ("candidate", spec.candidate_width),
        ("user", spec.user_width),
        *((("recent_simtier", BINS),) if blocks.recent_simtier else ()),
        *((("retrieved_simtier", BINS),) if blocks.retrieved_simtier else ()),
    )


def tower_inputs(spec: FeatureSpec, blocks: BlocksConfig) -> int:
    """Width of the tower's input."""
    return sum(width for _, width in tower_blocks(spec, blocks))
