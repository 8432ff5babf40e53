"""Recent branch: plain target attention over the user's last behaviours, keys doubling as values, no scale.

q = Wq x_t + b, k_i = Wk x_i + b, out = sum softmax(k_i . q) k_i. Keys are computed once per user, not per candidate.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Generator, Tensor, nn

from muse_stream.esu_scorer.network.init import init_linear
from muse_stream.esu_scorer.network.masks import attention_weights, by_user


class RecentAttention(nn.Module):
    """Attention of T candidates over the recent behaviours of P users; `width` is 2D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)

    def reset(self, generator: Generator) -> None:
        """Draw first weights."""
        init_linear(self.query, generator)
        init_linear(self.key, generator)

    def forward(
        self, candidate: Tensor, recent: Tensor, mask: Tensor, owners: Tensor, bounds: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Output `[T, 2D]` and weights `[T, R]` for `candidate [T, 2D]`, `recent [P, R, 2D]`, `mask [T, R]`.

        `owners`, `bounds` as in `EmbeddedBatch`.
        """
        query: Tensor = self.query(candidate)  # (T, 2D)
        keys: Tensor = self.key(recent)  # (P, R, 2D)
        scores = by_user(query, keys.transpose(1, 2), owners, bounds)  # (T, 2D) x (P, 2D, R) -> (T, R)
        weights = attention_weights(scores, mask)  # (T, R)
        return by_user(weights, keys, owners, bounds), weights  # (T, R) x (P, R, 2D) -> (T, 2D)
