"""Random batches and models for the tests of this room."""

import numpy as np
import torch

from muse_stream.esu_scorer import Artefact, FeatureSpec, MuseConfig, ScoreBatch, Vocabulary
from muse_stream.esu_scorer.config import NetworkConfig
from muse_stream.esu_scorer.network import Model

RETAIL = FeatureSpec.of({"item": 16, "category": 16, "price_band": 8}, {"country": 8, "customer": 12})
KNOWN_IDS = 40


def vocabularies(spec: FeatureSpec = RETAIL) -> dict[str, Vocabulary]:
    """Ids 1..40 of every feature."""
    return {feature.name: Vocabulary.of(np.arange(1, KNOWN_IDS + 1)) for feature in spec.features}


def artefact(seed: int = 3, spec: FeatureSpec = RETAIL, config: NetworkConfig | None = None) -> Artefact:
    """First weights, but with embeddings large enough for every block to matter."""
    known = vocabularies(spec)
    model = Model(spec, config or MuseConfig(), {name: ids.row_count for name, ids in known.items()})
    model.reset(seed)
    with torch.no_grad():
        for feature in spec.features:
            model.embeddings.table(feature.name).weight.mul_(400.0)
    return Artefact.from_model(model, known, space="v1", version=f"test-{seed}", trained=False)


def score_batch(
    seed: int,
    counts: tuple[int, ...] = (3, 0, 4),
    *,
    recent: int = 6,
    retrieved: int = 5,
    spec: FeatureSpec = RETAIL,
    filled: float = 0.7,
) -> ScoreBatch:
    """Random ids (some unknown, some missing), random masks with the share `filled` of True."""
    rng = np.random.default_rng(seed)
    users, total = len(counts), sum(counts)

    def ids(*shape: int) -> np.ndarray:
        return rng.integers(0, KNOWN_IDS + 10, shape)

    return ScoreBatch(
        user_features=ids(users, len(spec.user)),
        recent_item=ids(users, recent),
        recent_category=ids(users, recent),
        recent_mask=rng.random((users, recent)) < filled,
        bounds=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        candidate_features=ids(total, len(spec.candidate)),
        recent_cosine=rng.uniform(-1, 1, (total, recent)).astype(np.float32),
        recent_cosine_present=rng.random((total, recent)) < filled,
        retrieved_item=ids(total, retrieved),
        retrieved_category=ids(total, retrieved),
        retrieved_cosine=rng.uniform(-1, 1, (total, retrieved)).astype(np.float32),
        retrieved_mask=rng.random((total, retrieved)) < filled,
    )
