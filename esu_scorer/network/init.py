"""How the released network draws its first weights.

Every function takes the generator, so that one seed gives one network.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, nn

TABLE_SIGMA = 0.001
"""Embedding tables: normal of this sigma, truncated at two sigma."""

LINEAR_BIAS = 0.1


@torch.no_grad()
def init_linear(linear: nn.Linear, generator: Generator) -> None:
    """Weights N(0, 1) / sqrt(fan in), bias 0.1."""
    linear.weight.normal_(0.0, 1.0 / math.sqrt(linear.in_features), generator=generator)
    linear.bias.fill_(LINEAR_BIAS)


@torch.no_grad()
def init_table(table: nn.Embedding, generator: Generator) -> None:
    """Truncated normal, sigma 0.001, every row, the unknown one included."""
    nn.init.trunc_normal_(table.weight, 0.0, TABLE_SIGMA, -2 * TABLE_SIGMA, 2 * TABLE_SIGMA, generator=generator)
