"""Why a score is what it is: what the network saw of each behaviour, and what the score would be without it.

A change is always *the score without* minus *the score*: below 0, what was taken away spoke for a click.

Without a behaviour: as had it not been there (`counterfactual`). Without a block: its part of the tower's input is what
the network reads there when nothing is known, an unknown item shown to an unknown user without behaviours. For the
behaviours' blocks these are zeros, for the features the embeddings of the unknown id: inputs that the network serves
every day, where zeros in the place of an embedding would be none. Blocks are replaced one at a time and hang together
through the tower, so their changes do not add up to the score.

Invariant: everything is computed with the weights that served: changes of behaviours by the same pass, weights and
blocks by the one that names its stages. A model that only scores has no weights and no blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from muse_stream.esu_scorer.batch import Bool, Float32, Int64, ScoreBatch
from muse_stream.esu_scorer.counterfactual import Subject, leave_one_out
from muse_stream.esu_scorer.network.simtier import simtier_bins
from muse_stream.esu_scorer.network.tower import CLICK
from muse_stream.esu_scorer.scorer import Stages
from muse_stream.esu_scorer.served import ServedModel

NO_TIER = -1
TOWER_INPUT = "tower_input"


@runtime_checkable
class Transparent(Protocol):
    """A model that shows its inside; `Scorer` is one."""

    @property
    def blocks(self) -> tuple[tuple[str, int], ...]:
        """Names and widths of the parts of stage `tower_input`, in order."""
        ...

    def stages(self, batch: ScoreBatch) -> Stages:
        """The pass with every named stage."""
        ...

    def score_inputs(self, inputs: Float32) -> Float32:
        """Click probability `[N]` of rows `[N, inputs]` like those of stage `tower_input`."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Inside:
    """What a transparent model shows of C candidates.

    Attributes:
        weights: `[C, K] float32` attention over the retrieved, 0 where there is none; None without that attention.
        recent_weights: `[C, R] float32` attention over the recent.
        scores: `[C] float32` of the pass that shows them: those that were served, but for rounding.
        blocks: Names of the B blocks.
        without_block: `[C, B] float32` score with one block as when nothing is known.

    """

    weights: Float32 | None
    recent_weights: Float32
    scores: Float32
    blocks: tuple[str, ...]
    without_block: Float32


@dataclass(frozen=True, eq=False, slots=True)
class Explained:
    """An explanation of C scores.

    Attributes:
        without: `[C, K] float32` score had the retrieved behaviour not been there; NaN where there is none.
        inside: What the network saw; None of a model that only scores.

    """

    without: Float32
    inside: Inside | None


def explain(model: ServedModel, subject: Subject, before_tile: Callable[[], None] = lambda: None) -> Explained:
    """Explain the scores that `model` gives the candidates of `subject`.

    Args:
        model: What scored.
        subject: Whom, and what was retrieved.
        before_tile: Called before each pass of many rows; what it raises ends the work.

    Raises:
        BatchError: The features are not the model's.
        ScoreError: The model gave what is no number.

    """
    without = leave_one_out(model.score, subject, before_tile)
    return Explained(without, look_inside(model, subject.served()) if isinstance(model, Transparent) else None)


def look_inside(model: Transparent, batch: ScoreBatch) -> Inside:
    """Attention weights of `batch` and the scores without each block."""
    found = model.stages(batch)
    return Inside(
        weights=found.stages.get("retrieved_weights"),
        recent_weights=found.stages["recent_weights"],
        scores=found.probability[:, CLICK],
        blocks=tuple(name for name, _ in model.blocks),
        without_block=_without_blocks(model, batch, found.stages[TOWER_INPUT]),
    )


def tiers(cosines: Float32, present: Bool) -> Int64:
    """SimTier's bin 0..21 of each cosine, of the same shape; -1 where it is not present."""
    bins: Int64 = simtier_bins(torch.from_numpy(np.where(present, cosines, np.float32(0)))).numpy()
    return np.where(present, bins, NO_TIER)


def _without_blocks(model: Transparent, batch: ScoreBatch, inputs: Float32) -> Float32:
    """Scores `[C, B]` of `inputs [C, inputs]` with one block each as when nothing is known."""
    nothing = model.stages(_nobody(batch)).stages[TOWER_INPUT]  # [1, inputs]
    count, widths = len(inputs), [width for _, width in model.blocks]
    of_input = np.repeat(np.arange(len(widths)), widths)  # [inputs]
    off = of_input == np.arange(len(widths))[:, np.newaxis]  # [B, inputs]
    rows = np.where(off, nothing, inputs[:, np.newaxis])  # [C, B, inputs]
    return model.score_inputs(rows.reshape(count * len(widths), inputs.shape[1])).reshape(count, len(widths))


def _nobody(like: ScoreBatch) -> ScoreBatch:
    """An unknown item for an unknown user without behaviours, with the features of `like`."""
    no_ids, no_cosines, nothing = np.zeros((1, 0), np.int64), np.zeros((1, 0), np.float32), np.zeros((1, 0), np.bool_)
    return ScoreBatch(
        user_features=np.zeros_like(like.user_features[:1]),
        recent_item=no_ids,
        recent_category=no_ids,
        recent_mask=nothing,
        bounds=np.array([0, 1], np.int64),
        candidate_features=np.zeros((1, like.candidate_features.shape[1]), np.int64),
        recent_cosine=no_cosines,
        recent_cosine_present=nothing,
        retrieved_item=no_ids,
        retrieved_category=no_ids,
        retrieved_cosine=no_cosines,
        retrieved_mask=nothing,
    )
