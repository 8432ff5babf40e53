"""From a `ScoreBatch` to click probabilities.

Invariant: a scorer never changes after construction, so any number of threads may score at once and a swap is the
replacement of one reference. Candidates of several users are scored in one pass, user-side work done once per user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_stream.esu_scorer.artefact import Artefact
from muse_stream.esu_scorer.batch import Float32, Int64, ScoreBatch
from muse_stream.esu_scorer.errors import BatchError, ScoreError
from muse_stream.esu_scorer.features import CATEGORY, ITEM, FeatureSpec
from muse_stream.esu_scorer.network import Forward, RowBatch
from muse_stream.esu_scorer.network.tower import CLICK
from muse_stream.esu_scorer.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False, slots=True)
class Stages:
    """Scores and everything in between, as NumPy arrays: `probability [T, 2]`, `logits [T, 2]`, named `stages`."""

    probability: Float32
    logits: Float32
    stages: dict[str, Float32]


class Scorer:
    """Scores with one artefact, on the CPU, without gradients. Thread-safe."""

    def __init__(self, artefact: Artefact) -> None:
        self._artefact = artefact
        self._spec = artefact.spec
        self._vocabularies = {feature.name: artefact.vocabulary(feature.name) for feature in self._spec.features}
        self._model = artefact.model()

    @property
    def digest(self) -> str:
        """Digest of the artefact: names this model in answers."""
        return self._artefact.digest

    @property
    def artefact(self) -> Artefact:
        """The artefact that this scorer serves."""
        return self._artefact

    def score(self, batch: ScoreBatch) -> Float32:
        """Click probability of each candidate, `[T] float32`, always finite.

        Raises `BatchError` when the features do not fit, `ScoreError` when the model gives what is no number: weights
        that are each finite may still overflow together.
        """
        scores = _numpy(self._forward(batch).probability[:, CLICK])
        if not np.isfinite(scores).all():
            count = int((~np.isfinite(scores)).sum())
            msg = (
                f"artefact {self._artefact.version!r} ({self.digest[:16]}…) gave {count} of {len(scores)} scores that "
                f"are not finite; activate the artefact before it"
            )
            raise ScoreError(msg)
        return scores

    def stages(self, batch: ScoreBatch) -> Stages:
        """Return the same pass with every named stage. Raises `BatchError`."""
        result = self._forward(batch)
        named = {name: _numpy(stage) for name, stage in result.stages.items()}
        return Stages(_numpy(result.probability), _numpy(result.logits), named)

    def _forward(self, batch: ScoreBatch) -> Forward:
        with torch.inference_mode():
            result: Forward = self._model(to_rows(batch, self._spec, self._vocabularies))
            return result


def to_rows(batch: ScoreBatch, spec: FeatureSpec, vocabularies: Mapping[str, Vocabulary]) -> RowBatch:
    """Replace every id of `batch` by its table row, as tensors. Raises `BatchError`: the columns are not `spec`'s."""
    _check_columns("candidate_features", batch.candidate_features, spec.candidate_names)
    _check_columns("user_features", batch.user_features, spec.user_names)
    item, category = vocabularies[ITEM], vocabularies[CATEGORY]
    return RowBatch(
        user_features=_feature_rows(batch.user_features, spec.user_names, vocabularies),
        recent_item=_tensor(item.rows(batch.recent_item)),
        recent_category=_tensor(category.rows(batch.recent_category)),
        recent_mask=_tensor(batch.recent_mask),
        candidate_features=_feature_rows(batch.candidate_features, spec.candidate_names, vocabularies),
        recent_cosine=_tensor(batch.recent_cosine),
        recent_cosine_present=_tensor(batch.recent_cosine_present),
        retrieved_item=_tensor(item.rows(batch.retrieved_item)),
        retrieved_category=_tensor(category.rows(batch.retrieved_category)),
        retrieved_cosine=_tensor(batch.retrieved_cosine),
        retrieved_mask=_tensor(batch.retrieved_mask),
        owners=_tensor(batch.owners()),
        bounds=tuple(batch.bounds.tolist()),
    )


def _check_columns(name: str, columns: Int64, names: tuple[str, ...]) -> None:
    if columns.shape[1] != len(names):
        msg = f"{name} has {columns.shape[1]} columns, this model reads {len(names)}: {', '.join(names)}"
        raise BatchError(msg)


def _feature_rows(columns: Int64, names: tuple[str, ...], vocabularies: Mapping[str, Vocabulary]) -> Tensor:
    rows = np.empty(columns.shape, np.int64)
    for index, name in enumerate(names):
        rows[:, index] = vocabularies[name].rows(columns[:, index])
    return torch.from_numpy(rows)


def _tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """Share memory where Torch can: it wants contiguous and, even for reading, writeable arrays."""
    return torch.from_numpy(np.require(array, requirements=("C", "W")))


def _numpy(tensor: Tensor) -> Float32:
    array: Float32 = tensor.numpy()
    return array
