"""SimTier: how many behaviours lie in each tier of similarity to the candidate.

bin = ceil(10 cos) + 10, 22 bins (0..21); feature_j = w_j log(1 + count_j). Bins 1..20 hold the tenths
(0.1 n, 0.1 (n + 1)], bin 0 is exactly -1, bin 21 takes the cosines that rounding put a hair above 1. `10 * cos` is a
float32 product, as in the release: a cosine on a tier's edge must land where the release puts it.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

BINS = 22


def simtier_bins(cosines: Tensor) -> Tensor:
    """Bin of each cosine, int64 in 0..21, of the same shape."""
    return (torch.ceil(cosines * 10.0) + 10.0).clamp(0.0, BINS - 1.0).to(torch.int64)


class SimTier(nn.Module):
    """Learned weight per tier; w starts as U(0, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(BINS))

    @torch.no_grad()
    def reset(self, generator: Generator) -> None:
        """Draw w."""
        self.weight.uniform_(0.0, 1.0, generator=generator)

    def forward(self, cosines: Tensor, mask: Tensor) -> Tensor:
        """Tier features `[T, 22]` of `cosines [T, N]`; entries with a False `mask` are not counted."""
        counts = cosines.new_zeros(cosines.shape[0], BINS)  # (T, 22)
        counts.scatter_add_(1, simtier_bins(cosines), mask.to(cosines.dtype))
        return torch.log(1.0 + counts) * self.weight
