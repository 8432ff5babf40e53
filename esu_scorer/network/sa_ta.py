"""SA-TA, semantic-aware target attention over the retrieved behaviours (arXiv 2512.07216, ESU).

s_i = k_i . q, m_i = cos_i / tau, s'_i = b1 s_i + b2 m_i + b3 s_i m_i, out = sum softmax(s') v_i.
Released form: q, k, v = SiLU(Linear(.)). Paper form: no SiLU, and s_i is divided by sqrt(D).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from muse_stream.esu_scorer.network.init import init_linear
from muse_stream.esu_scorer.network.masks import attention_weights

INITIAL_TAU = 0.1


class SaTa(nn.Module):
    """Attention of T candidates over K retrieved behaviours each. `width` is 2D; `form` as in `MuseConfig`."""

    def __init__(self, width: int, form: Literal["released", "paper"]) -> None:
        super().__init__()
        self.released = form == "released"
        self.scale = 1.0 if self.released else 1.0 / math.sqrt(width / 2)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.tau = nn.Parameter(torch.empty(1))
        self.beta = nn.Parameter(torch.empty(3))

    def reset(self, generator: Generator) -> None:
        """Draw first weights; tau 0.1, b 1."""
        for linear in (self.query, self.key, self.value):
            init_linear(linear, generator)
        nn.init.constant_(self.tau, INITIAL_TAU)
        nn.init.ones_(self.beta)

    def forward(self, candidate: Tensor, retrieved: Tensor, cosines: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Output `[T, 2D]`, weights `[T, K]`.

        `candidate [T, 2D]`, `retrieved [T, K, 2D]`, `cosines [T, K]`, `mask [T, K]`.
        """
        query = self._activate(self.query(candidate))  # (T, 2D)
        keys = self._activate(self.key(retrieved))  # (T, K, 2D)
        values = self._activate(self.value(retrieved))  # (T, K, 2D)
        scores = torch.bmm(keys, query.unsqueeze(2)).squeeze(2) * self.scale  # (T, K, 2D) x (T, 2D, 1) -> (T, K)
        similarity = cosines / self.tau
        fused = self.beta[0] * scores + self.beta[1] * similarity + self.beta[2] * scores * similarity
        weights = attention_weights(fused, mask)  # (T, K)
        return torch.bmm(weights.unsqueeze(1), values).squeeze(1), weights  # (T, 1, K) x (T, K, 2D) -> (T, 2D)

    def _activate(self, tensor: Tensor) -> Tensor:
        return functional.silu(tensor) if self.released else tensor
