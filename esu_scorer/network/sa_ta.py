"""SA-TA, semantic-aware target attention over the retrieved behaviours (arXiv 2512.07216, ESU).

Target attention, whose scores s_i are mixed with the cosines: m_i = cos_i / tau,
s'_i = b1 s_i + b2 m_i + b3 s_i m_i, out = sum softmax(s') v_i.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor, nn

from muse_stream.esu_scorer.network.target_attention import TargetAttention

INITIAL_TAU = 0.1


class SaTa(TargetAttention):
    """Attention of T candidates over K retrieved behaviours each. `width` is 2D; `form` as in `MuseConfig`."""

    def __init__(self, width: int, form: Literal["released", "paper"]) -> None:
        super().__init__(width, form)
        self.tau = nn.Parameter(torch.empty(1))
        self.beta = nn.Parameter(torch.empty(3))

    def reset(self, generator: Generator) -> None:
        """Draw first weights; tau 0.1, b 1."""
        super().reset(generator)
        nn.init.constant_(self.tau, INITIAL_TAU)
        nn.init.ones_(self.beta)

    def fuse(self, scores: Tensor, cosines: Tensor) -> Tensor:
        """Mix scores s and cosines to s', `[T, K]`."""
        similarity = cosines / self.tau
        return self.beta[0] * scores + self.beta[1] * similarity + self.beta[2] * scores * similarity
