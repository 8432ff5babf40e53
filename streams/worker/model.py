"""The model in service: loaded, warmed, then used.

Invariant: `scorer()` gives a model only after it has scored a warm-up batch.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from muse_stream.esu_scorer import Artefact, FeatureSpec, ModelInfo, ScoreBatch, Scorer, ServedModel
from muse_stream.monitoring import ModelReading
from muse_stream.streams.settings import Settings

log = logging.getLogger(__name__)

UNTRAINED_SEED = 1
WARM_UP_CANDIDATES = (1, 200)
"""A lone candidate and the usual request: torch allocates and chooses kernels for both on first use."""


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A warmed scorer and when it was loaded (Unix time)."""

    scorer: ServedModel
    loaded_at_seconds: float

    def reading(self) -> ModelReading:
        """What monitoring shows."""
        info = self.scorer.info
        return ModelReading(version=info.version, digest=info.digest, loaded_at_seconds=self.loaded_at_seconds)


def load(settings: Settings) -> LiveModel:
    """Load and warm the artefact that the settings name; a seeded, untrained one where they name none.

    Raises:
        ArtefactError: It is missing, corrupt, or not what the settings expect.
        DeviceError: The device that the settings name is not here.

    """
    torch.set_num_threads(settings.model.threads)
    scorer = Scorer(artefact_of(settings), device_of(settings))
    for candidates in WARM_UP_CANDIDATES:
        scorer.score(warm_up_batch(scorer.info, candidates))
    log.info("model %s (%s) is warm on %s", scorer.info.version, scorer.digest, scorer.device)
    return LiveModel(scorer, time.time())


def device_of(settings: Settings) -> str:
    """`cpu` or `cuda`: the one named, or where it is `auto` the GPU that searches use."""
    if settings.model.device != "auto":
        return settings.model.device
    return "cuda" if settings.engine.backend in {"auto", "cuda"} and torch.cuda.is_available() else "cpu"


def path_of(settings: Settings) -> Path | None:
    """Directory of the artefact, None for the untrained one."""
    path = settings.model.path
    return path / settings.model.active if path and settings.model.active else path


def artefact_of(settings: Settings) -> Artefact:
    """The artefact that the settings name, a seeded, untrained one where they name none. Raises `ArtefactError`."""
    path = path_of(settings)
    if path is not None:
        return Artefact.load(path)
    item = {"item": 16, "category": 16, **dict.fromkeys(settings.features.item, 16)}
    spec = FeatureSpec.of(item, dict.fromkeys(settings.features.user, 16))
    log.warning("model.path is not set: scores come from a seeded, untrained model")
    return Artefact.untrained(spec, {}, seed=UNTRAINED_SEED, space=next(iter(settings.items.spaces)))


def warm_up_batch(info: ModelInfo, candidates: int) -> ScoreBatch:
    """A batch of zeros with full histories: the shapes of a usual request."""
    k, r, spec = info.k, info.r, info.spec
    return ScoreBatch(
        user_features=np.zeros((1, len(spec.user_names)), np.int64),
        recent_item=np.zeros((1, r), np.int64),
        recent_category=np.zeros((1, r), np.int64),
        recent_mask=np.ones((1, r), np.bool_),
        bounds=np.array([0, candidates], np.int64),
        candidate_features=np.zeros((candidates, len(spec.candidate_names)), np.int64),
        recent_cosine=np.zeros((candidates, r), np.float32),
        recent_cosine_present=np.ones((candidates, r), np.bool_),
        retrieved_item=np.zeros((candidates, k), np.int64),
        retrieved_category=np.zeros((candidates, k), np.int64),
        retrieved_cosine=np.zeros((candidates, k), np.float32),
        retrieved_mask=np.ones((candidates, k), np.bool_),
    )
