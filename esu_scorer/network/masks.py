"""Masked softmax and mean, and products between candidates and the rows of their own user.

Invariant: what lies under a False mask has no influence on a result, and a row that is masked whole gives zeros. The
released network has no masks; with nothing masked these equal its plain forms.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ATTENTION_FLOOR = 1e-7
"""Added to every attention weight after the softmax, as the public release does."""


def attention_weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis plus the floor; 0 under the mask. `scores`, `mask`, result: `[..., N]`."""
    weights = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
    # A row that is masked whole is NaN up to here; the fill removes it, also from the gradient.
    return (weights + ATTENTION_FLOOR).masked_fill(~mask, 0.0)


def masked_mean(rows: Tensor, mask: Tensor) -> Tensor:
    """Mean of `rows [..., N, W]` where `mask [..., N]` is True: `[..., W]`, zeros where nothing is."""
    weights = mask.to(rows.dtype).unsqueeze(-2)  # (..., 1, N)
    count = weights.sum(dim=-1).clamp(min=1.0)  # (..., 1)
    return torch.matmul(weights, rows).squeeze(-2) / count  # (..., W)


FEW = 8
"""Candidates per user, on average, below which a user's matrix is copied for each of them. The loop over users is cheap
forward but adds up a gradient of all users' matrices at every turn: backward costs the square of their number. At 1 000
candidates and matrices of [32, 50] the two cost the same, forward and backward, at 8 to 16 candidates per user."""


def by_user(candidates: Tensor, users: Tensor, owners: Tensor, bounds: Sequence[int]) -> Tensor:
    """Multiply each candidate's row with its own user's matrix: `[T, A]` and `[P, A, B]` give `[T, B]`.

    User p owns the rows `bounds[p]:bounds[p + 1]`; `owners [T]` says the same. Equal shares are one batched product
    (one user; one candidate each). Else a user's matrix is copied for its candidates where they are few, as in
    training, and where they are many there is one product per user.
    """
    count, total = users.shape[0], candidates.shape[0]
    if count and total % count == 0 and all(bounds[p] == p * (total // count) for p in range(count)):
        grouped = candidates.view(count, total // count, users.shape[1])  # (P, C, A)
        return torch.bmm(grouped, users).view(total, users.shape[2])  # (P, C, B) -> (T, B)
    if total < FEW * count:
        own = users.index_select(0, owners)  # (P, A, B) -> (T, A, B)
        return torch.bmm(candidates.unsqueeze(1), own).squeeze(1)  # (T, 1, A) x (T, A, B) -> (T, B)
    parts = [candidates[bounds[p] : bounds[p + 1]] @ users[p] for p in range(count)]  # (C_p, B)
    return torch.cat(parts) if parts else candidates.new_zeros(total, users.shape[2])  # (T, B)
