"""From an item's features to its vector: one small network, the same for the item that asks and the one that is bought.

    texts [b bags]   x = sum of weight * table[bucket]     table: width x d, N(0, 1/d): random projection at first
    dense [b, f]     x = W f                               W: d x f, orthogonal: a projection at first
    then             v = unit(x + W2 GELU(W1 unit(x)))     W2 starts as zeros

An untrained encoder therefore keeps the geometry of its features; training bends it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from muse_stream.esu_scorer.vectors.baselines import Float32, Int64
from muse_stream.esu_scorer.vectors.dense import Features
from muse_stream.esu_scorer.vectors.text import Bags

_ROWS_AT_ONCE = 4_096


class Encoder(nn.Module):
    """Rows of features to unit vectors `[b, d] float32`; a row without any feature gives zeros.

    Args:
        features: Of all items; fixes the input.
        dimension: d.
        hidden: Width between W1 and W2.
        seed: Of the first parameters.

    """

    def __init__(self, features: Features, *, dimension: int, hidden: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        if isinstance(features, Bags):
            table = torch.randn(features.width, dimension, generator=generator) / dimension**0.5
            self.first = nn.Parameter(table)
        else:
            self.first = nn.Parameter(
                nn.init.orthogonal_(torch.empty(dimension, features.shape[1]), generator=generator)
            )
        self.bend = nn.Parameter(torch.randn(hidden, dimension, generator=generator) / dimension**0.5)
        self.back = nn.Parameter(torch.zeros(dimension, hidden))

    def forward(self, features: Features) -> Tensor:
        """Vectors of some rows."""
        x = self._project(features)  # (b, d)
        x = functional.normalize(x, dim=1)
        return functional.normalize(x + functional.gelu(x @ self.bend.T) @ self.back.T, dim=1)

    def vectors(self, features: Features) -> Float32:
        """Vectors `[n, d]` of all rows, a part at a time."""
        count = len(features)
        with torch.no_grad():
            parts = [
                self(take(features, np.arange(first, min(first + _ROWS_AT_ONCE, count)))).numpy()
                for first in range(0, count, _ROWS_AT_ONCE)
            ]
        return np.concatenate(parts)

    def _project(self, features: Features) -> Tensor:
        if not isinstance(features, Bags):
            return torch.from_numpy(features) @ self.first.T
        return functional.embedding_bag(
            torch.from_numpy(features.bucket),
            self.first,
            torch.from_numpy(features.offset[:-1]),
            mode="sum",
            per_sample_weights=torch.from_numpy(features.weight),
        )


def take(features: Features, rows: Int64) -> Features:
    """Some rows, in the order given."""
    return features.take(rows) if isinstance(features, Bags) else features[rows]


def compact(features: Features) -> Features:
    """The same rows without the columns of texts that no row uses: a table as large as the catalogue's words."""
    if not isinstance(features, Bags):
        return features
    used, bucket = np.unique(features.bucket, return_inverse=True)
    return Bags(bucket, features.weight, features.offset, max(1, len(used)))
