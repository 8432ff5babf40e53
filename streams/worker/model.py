"""Models from disk to memory, as the settings say: the one they name, and any other directory.

Invariant: nothing here touches what serves; a model that these functions return has been read and checked whole.
"""

import logging
import os
from pathlib import Path

import numpy as np
import torch

from muse_stream.esu_scorer import Artefact, FeatureSpec, ModelInfo, ScoreBatch, Scorer, ServedModel, load_model
from muse_stream.streams.settings import Settings

log = logging.getLogger(__name__)

UNTRAINED_SEED = 1
WARM_UP_CANDIDATES = (1, 200)
"""A lone candidate and the usual request, which is shared between threads: buffers are made on first use."""

TORCH_THREADS = 1
"""On the CPU Torch scores nothing, it gives stages to whoever asks, and its threads wait for each other actively."""


def of_settings(settings: Settings) -> ServedModel:
    """The model that the settings name; a seeded, untrained one where they name none.

    Raises:
        ArtefactError: It is missing, corrupt, or not what the settings expect.
        DeviceError: The device that the settings name is not here.

    """
    path = path_of(settings)
    if path is not None:
        return from_directory(settings, path)
    torch.set_num_threads(TORCH_THREADS)
    return Scorer(artefact_of(settings), device_of(settings), threads_of(settings))


def from_directory(settings: Settings, path: Path, threads: int | None = None) -> ServedModel:
    """The model in a directory, of any kind. Raises as `of_settings`; `threads` of a pass, None: the settings'."""
    torch.set_num_threads(TORCH_THREADS)
    return load_model(path, device=device_of(settings), threads=threads or threads_of(settings))


def name_of(settings: Settings) -> str:
    """What to call the model that the settings name."""
    path = path_of(settings)
    return path.name if path else "untrained"


def device_of(settings: Settings) -> str:
    """`cpu` or `cuda`: the one named, or where it is `auto` the GPU that searches use."""
    if settings.model.device != "auto":
        return settings.model.device
    return "cuda" if settings.engine.backend in {"auto", "cuda"} and torch.cuda.is_available() else "cpu"


def threads_of(settings: Settings) -> int:
    """Threads of a scoring pass."""
    return settings.model.threads or len(os.sched_getaffinity(0))


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
