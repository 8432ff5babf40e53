"""The released network the straightforward way: one row per candidate, everything of the user repeated, no masks.

The peer of `benchmarks.esu`. It reads the same weights, so both must give the same scores.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from muse_stream.esu_scorer import Artefact, ScoreBatch
from muse_stream.esu_scorer.batch import Float32, Int64


class ReleasedForm:
    """Scores batches in which nothing is masked, in eager Torch. Embeddings are looked up per candidate."""

    def __init__(self, artefact: Artefact) -> None:
        self._weights = {name.removeprefix("weight/"): tensor for name, tensor in artefact.tensors.items()}
        self._spec = artefact.spec
        self._layers = len(artefact.manifest.network.tower) + 1
        self._vocabularies = {feature.name: artefact.vocabulary(feature.name) for feature in artefact.spec.features}

    @torch.inference_mode()
    def score(self, batch: ScoreBatch) -> Float32:
        """Click probability `[T] float32`."""
        owners = batch.owners()
        user_features, candidate_features = batch.user_features[owners], batch.candidate_features
        users = [self._lookup(name, user_features[:, i]) for i, name in enumerate(self._spec.user_names)]
        candidates = [self._lookup(name, candidate_features[:, i]) for i, name in enumerate(self._spec.candidate_names)]
        recent = self._behaviours(batch.recent_item[owners], batch.recent_category[owners])  # (T, R, 2D)
        retrieved = self._behaviours(batch.retrieved_item, batch.retrieved_category)  # (T, K, 2D)
        target = torch.cat(candidates[:2], dim=1)  # (T, 2D)
        recent_cosine, cosine = torch.from_numpy(batch.recent_cosine), torch.from_numpy(batch.retrieved_cosine)
        blocks = [
            self._recent(target, recent),
            self._sa_ta(target, retrieved, cosine),
            retrieved.mean(dim=1),
            recent.mean(dim=1),
            *candidates,
            *users,
            self._simtier("recent_simtier", recent_cosine),
            self._simtier("retrieved_simtier", cosine),
        ]
        probability = torch.softmax(self._tower(torch.cat(blocks, dim=1)), dim=1) + 1e-7
        scores: Float32 = probability.clamp(0, 1)[:, 1].numpy()
        return scores

    def _lookup(self, feature: str, ids: Int64) -> Tensor:
        rows = torch.from_numpy(np.ascontiguousarray(self._vocabularies[feature].rows(ids)))
        return functional.embedding(rows, self._weights[f"embeddings.tables.of_{feature}.weight"])

    def _behaviours(self, items: Int64, categories: Int64) -> Tensor:
        return torch.cat((self._lookup("item", items), self._lookup("category", categories)), dim=2)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self._weights[f"network.{name}.weight"], self._weights[f"network.{name}.bias"])

    def _recent(self, target: Tensor, recent: Tensor) -> Tensor:
        keys = self._linear("recent.key", recent)  # (T, R, 2D)
        scores = (keys * self._linear("recent.query", target).unsqueeze(1)).sum(dim=2)  # (T, R)
        weights = torch.softmax(scores, dim=1) + 1e-7
        return (weights.unsqueeze(2) * keys).sum(dim=1)  # (T, 2D)

    def _sa_ta(self, target: Tensor, retrieved: Tensor, cosine: Tensor) -> Tensor:
        query = functional.silu(self._linear("sa_ta.query", target))  # (T, 2D)
        keys = functional.silu(self._linear("sa_ta.key", retrieved))  # (T, K, 2D)
        values = functional.silu(self._linear("sa_ta.value", retrieved))  # (T, K, 2D)
        scores = (keys * query.unsqueeze(1)).sum(dim=2)  # (T, K)
        similarity = cosine / self._weights["network.sa_ta.tau"]
        beta = self._weights["network.sa_ta.beta"]
        weights = torch.softmax(beta[0] * scores + beta[1] * similarity + beta[2] * scores * similarity, dim=1) + 1e-7
        return (weights.unsqueeze(2) * values).sum(dim=1)  # (T, 2D)

    def _simtier(self, name: str, cosine: Tensor) -> Tensor:
        bins = (torch.ceil(cosine * 10) + 10).to(torch.int64)  # (T, N)
        counts = functional.one_hot(bins, 22).sum(dim=1)  # (T, N, 22) -> (T, 22)
        return torch.log(1.0 + counts) * self._weights[f"network.{name}.weight"]

    def _tower(self, x: Tensor) -> Tensor:
        for layer in range(self._layers):
            z = self._linear(f"tower.linears.{layer}", x)
            p = torch.sigmoid(functional.layer_norm(z, z.shape[1:], eps=1e-12))
            x = self._weights[f"network.tower.activations.{layer}.gamma"] * (1 - p) * z + p * z
        return x
