"""The networks, one small module per block, and the model that joins tables and network.

Invariant: a `Model`'s parameters are exactly the weights of an artefact, under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from muse_stream.esu_scorer.config import NetworkConfig
from muse_stream.esu_scorer.features import FeatureSpec
from muse_stream.esu_scorer.network.embeddings import EmbeddedBatch, Embeddings, RowBatch
from muse_stream.esu_scorer.network.muse import Forward, MuseNetwork


class Model(nn.Module):
    """Embedding tables and the network over them. Weights are unset until `reset` or `load_state_dict`."""

    def __init__(self, spec: FeatureSpec, config: NetworkConfig, row_counts: Mapping[str, int]) -> None:
        super().__init__()
        self.spec = spec
        self.config = config
        self.embeddings = Embeddings(spec, row_counts)
        self.network = MuseNetwork(spec, config)

    def reset(self, seed: int) -> None:
        """Draw all first weights; the same seed gives the same weights on one Torch version."""
        generator = torch.Generator().manual_seed(seed)
        self.embeddings.reset(generator)
        self.network.reset(generator)

    def forward(self, rows: RowBatch) -> Forward:
        """Score T candidates."""
        embedded: EmbeddedBatch = self.embeddings(rows)
        result: Forward = self.network(embedded)
        return result


__all__ = ["EmbeddedBatch", "Embeddings", "Forward", "Model", "MuseNetwork", "RowBatch"]
