"""Plain target attention over the retrieved behaviours: SA-TA without its cosine terms.

s_i = k_i . q, out = sum softmax(s) v_i. Released form: q, k, v = SiLU(Linear(.)). Paper form: no SiLU, and s_i is
divided by sqrt(D). It is the unit of SIM and TWIN here, and the first row of the paper's table of ESU ablations.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from muse_stream.esu_scorer.network.init import init_linear
from muse_stream.esu_scorer.network.masks import attention_weights


class TargetAttention(nn.Module):
    """Attention of T candidates over K retrieved behaviours each. `width` is 2D; `form` as in `MuseConfig`."""

    def __init__(self, width: int, form: Literal["released", "paper"]) -> None:
        super().__init__()
        self.released = form == "released"
        self.scale = 1.0 if self.released else 1.0 / math.sqrt(width / 2)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def reset(self, generator: Generator) -> None:
        """Draw first weights."""
        for linear in (self.query, self.key, self.value):
            init_linear(linear, generator)

    def forward(self, candidate: Tensor, retrieved: Tensor, cosines: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Output `[T, 2D]`, weights `[T, K]`.

        `candidate [T, 2D]`, `retrieved [T, K, 2D]`, `cosines [T, K]`, `mask [T, K]`.
        """
        query = self.activate(self.query(candidate))  # (T, 2D)
        keys = self.activate(self.key(retrieved))  # (T, K, 2D)
        values = self.activate(self.value(retrieved))  # (T, K, 2D)
        scores = torch.bmm(keys, query.unsqueeze(2)).squeeze(2) * self.scale  # (T, K, 2D) x (T, 2D, 1) -> (T, K)
        weights = attention_weights(self.fuse(scores, cosines), mask)  # (T, K)
        return torch.bmm(weights.unsqueeze(1), values).squeeze(1), weights  # (T, 1, K) x (T, K, 2D) -> (T, 2D)

    def fuse(self, scores: Tensor, cosines: Tensor) -> Tensor:
        """What the softmax is taken of, `[T, K]`; here the scores alone."""
        del cosines
        return scores

    def activate(self, tensor: Tensor) -> Tensor:
        """The activation of queries, keys and values."""
        return functional.silu(tensor) if self.released else tensor
