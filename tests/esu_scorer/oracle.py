"""The network once more: NumPy, float64, one candidate at a time, nothing padded. Slow and plain on purpose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muse_stream.esu_scorer import Artefact, ScoreBatch
from muse_stream.esu_scorer.features import FeatureSpec

Vector = NDArray[np.float64]


@dataclass
class Oracle:
    """Scores a batch with the weights of an artefact."""

    artefact: Artefact

    def weight(self, name: str) -> Vector:
        return self.artefact.tensors[f"weight/{name}"].numpy().astype(np.float64)

    def linear(self, name: str, x: Vector) -> Vector:
        return x @ self.weight(f"network.{name}.weight").T + self.weight(f"network.{name}.bias")

    def embedding(self, feature: str, feature_id: int) -> Vector:
        known = self.artefact.tensors[f"vocabulary/{feature}"].tolist()
        row = known.index(feature_id) + 1 if feature_id in known else 0
        found: Vector = self.weight(f"embeddings.tables.of_{feature}.weight")[row]
        return found

    def behaviours(self, items: NDArray[np.int64], categories: NDArray[np.int64]) -> Vector:
        pairs = [
            np.concatenate([self.embedding("item", item), self.embedding("category", category)])
            for item, category in zip(items.tolist(), categories.tolist(), strict=True)
        ]
        return np.array(pairs).reshape(len(pairs), 2 * self.artefact.spec.width)

    def tower_input(self, batch: ScoreBatch, user: int, candidate: int) -> Vector:
        spec = self.artefact.spec
        there = batch.recent_mask[user]
        recent = self.behaviours(batch.recent_item[user][there], batch.recent_category[user][there])
        found = batch.retrieved_mask[candidate]
        retrieved = self.behaviours(batch.retrieved_item[candidate][found], batch.retrieved_category[candidate][found])
        cosines = batch.retrieved_cosine[candidate][found]
        near = batch.recent_cosine[candidate][there & batch.recent_cosine_present[candidate]]
        features = np.concatenate(
            [
                self.embedding(name, int(batch.candidate_features[candidate, i]))
                for i, name in enumerate(spec.candidate_names)
            ]
        )
        target = features[: 2 * spec.width]
        return np.concatenate(
            [
                self.recent_attention(target, recent),
                self.sa_ta(target, retrieved, cosines.astype(np.float64)),
                mean(retrieved, 2 * spec.width),
                mean(recent, 2 * spec.width),
                features,
                user_features(self, spec, batch.user_features[user]),
                tiers(near) * self.weight("network.recent_simtier.weight"),
                tiers(cosines) * self.weight("network.retrieved_simtier.weight"),
            ]
        )

    def recent_attention(self, target: Vector, recent: Vector) -> Vector:
        if not len(recent):
            return np.zeros(len(target))
        keys = self.linear("recent.key", recent)
        return softmax(keys @ self.linear("recent.query", target)) @ keys

    def sa_ta(self, target: Vector, retrieved: Vector, cosines: Vector) -> Vector:
        if not len(retrieved):
            return np.zeros(len(target))
        config = self.artefact.manifest.network
        paper = config.form == "paper"
        query, keys, values = (
            x if paper else x / (1 + np.exp(-x))
            for x in (
                self.linear("sa_ta.query", target),
                self.linear("sa_ta.key", retrieved),
                self.linear("sa_ta.value", retrieved),
            )
        )
        scores = keys @ query / (np.sqrt(self.artefact.spec.width) if paper else 1.0)
        similar = cosines / self.weight("network.sa_ta.tau")[0]
        beta = self.weight("network.sa_ta.beta")
        return softmax(beta[0] * scores + beta[1] * similar + beta[2] * scores * similar) @ values

    def probability(self, batch: ScoreBatch) -> Vector:
        owners = batch.owners().tolist()
        return np.array([self.click(self.tower_input(batch, user, t)) for t, user in enumerate(owners)])

    def gap(self, x: Vector) -> float:
        """How far the two outputs lie apart before the last Dice, which is a step between them."""
        layers = len(self.artefact.manifest.network.tower)
        for layer in range(layers):
            x = self.dice(layer, x)
        z = self.linear(f"tower.linears.{layers}", x)
        return float(abs(z[0] - z[1]))

    def dice(self, layer: int, x: Vector) -> Vector:
        z = self.linear(f"tower.linears.{layer}", x)
        p = 1 / (1 + np.exp(-(z - z.mean()) / np.sqrt(z.var() + 1e-12)))
        made: Vector = self.weight(f"network.tower.activations.{layer}.gamma") * (1 - p) * z + p * z
        return made

    def click(self, x: Vector) -> float:
        for layer in range(len(self.artefact.manifest.network.tower) + 1):
            x = self.dice(layer, x)
        logits = np.exp(x - x.max())
        return float(np.clip(logits[1] / logits.sum() + 1e-7, 0, 1))


def user_features(oracle: Oracle, spec: FeatureSpec, ids: NDArray[np.int64]) -> Vector:
    return np.concatenate(
        [np.zeros(0), *(oracle.embedding(name, int(ids[i])) for i, name in enumerate(spec.user_names))]
    )


def mean(rows: Vector, width: int) -> Vector:
    average: Vector = rows.mean(axis=0) if len(rows) else np.zeros(width)
    return average


def softmax(scores: Vector) -> Vector:
    weights = np.exp(scores - scores.max())
    shares: Vector = weights / weights.sum() + 1e-7
    return shares


def tiers(cosines: NDArray[np.float32]) -> Vector:
    counts = np.zeros(22)
    for cosine in cosines:
        counts[int(np.ceil(np.float32(10) * np.float32(cosine))) + 10] += 1
    logged: Vector = np.log(1 + counts)
    return logged
