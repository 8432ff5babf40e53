"""The tower: Linear and Dice, four times, the output layer included, then a clipped softmax.

Dice(z) = gamma (1 - p) z + p z with p = sigmoid(LayerNorm(z)), the LayerNorm without parameters. On the two outputs
this LayerNorm is a sign: where both are equal to rounding before Dice, the two sides of the step differ visibly.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from muse_stream.esu_scorer.network.init import init_linear

LAYER_NORM_EPS = 1e-12
INITIAL_GAMMA = -0.25
OUTPUTS = 2
CLICK = 1
"""Index of the click among the two outputs."""

PROBABILITY_FLOOR = 1e-7
"""Added to the softmax before it is clipped to [0, 1], as the public release does."""


class Dice(nn.Module):
    """Dice with layer statistics; `gamma` per unit."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), INITIAL_GAMMA))

    def forward(self, z: Tensor) -> Tensor:
        """Activate `z [T, width]`."""
        p = torch.sigmoid(functional.layer_norm(z, z.shape[-1:], eps=LAYER_NORM_EPS))
        return self.gamma * (1.0 - p) * z + p * z


class Tower(nn.Module):
    """From the joined blocks `[T, inputs]` to two logits; `hidden` are the widths in between."""

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = (inputs, *hidden, OUTPUTS)
        self.linears = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(widths))
        self.activations = nn.ModuleList(Dice(width) for width in widths[1:])

    def reset(self, generator: Generator) -> None:
        """Draw first weights."""
        for linear, dice in zip(self.linears, self.activations, strict=True):
            assert isinstance(linear, nn.Linear)  # noqa: S101
            assert isinstance(dice, Dice)  # noqa: S101
            init_linear(linear, generator)
            nn.init.constant_(dice.gamma, INITIAL_GAMMA)

    def forward(self, blocks: Tensor) -> Tensor:
        """Logits `[T, 2]`."""
        logits: Tensor = self.step(self.before_step(blocks))
        return logits

    def before_step(self, blocks: Tensor) -> Tensor:
        """The two numbers `[T, 2]` that the last Dice reads: where they are equal to rounding, it is a step."""
        for linear, dice in zip(self.linears[:-1], self.activations[:-1], strict=True):
            blocks = dice(linear(blocks))  # (T, width)
        outputs: Tensor = self.linears[-1](blocks)
        return outputs

    def step(self, outputs: Tensor) -> Tensor:
        """The last Dice: logits `[T, 2]`."""
        logits: Tensor = self.activations[-1](outputs)
        return logits


def probability(logits: Tensor) -> Tensor:
    """Clipped softmax `[T, 2]`: softmax + 1e-7, clipped to [0, 1]."""
    return (torch.softmax(logits, dim=-1) + PROBABILITY_FLOOR).clamp(0.0, 1.0)
