"""From a `ScoreBatch` to click probabilities.

Invariant: a scorer never changes after construction, so any number of threads may score at once and a swap is the
replacement of one reference. Candidates of several users are scored in one pass, user-side work done once per user.
On the CPU a pass is compiled code that runs without the GIL (`fused`), on a GPU it is Torch's and waits once, for its
result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from muse_stream.esu_scorer.artefact import Artefact
from muse_stream.esu_scorer.batch import Float32, Int64, ScoreBatch
from muse_stream.esu_scorer.columns import check_columns, with_cosines
from muse_stream.esu_scorer.config import blocks_of
from muse_stream.esu_scorer.devices import CPU, Cosines, adopt, device_named, upload
from muse_stream.esu_scorer.errors import BatchError, ScoreError
from muse_stream.esu_scorer.features import CATEGORY, ITEM, FeatureSpec
from muse_stream.esu_scorer.fused import FusedForm
from muse_stream.esu_scorer.network import Forward, RowBatch
from muse_stream.esu_scorer.network.muse import tower_blocks
from muse_stream.esu_scorer.network.tower import CLICK, probability
from muse_stream.esu_scorer.served import ModelInfo
from muse_stream.esu_scorer.vocabulary import Lookup


@dataclass(frozen=True, eq=False, slots=True)
class Stages:
    """Scores and everything in between, as NumPy arrays: `probability [T, 2]`, `logits [T, 2]`, named `stages`."""

    probability: Float32
    logits: Float32
    stages: dict[str, Float32]


class Scorer:
    """Scores with one artefact, without gradients. Thread-safe."""

    def __init__(self, artefact: Artefact, device: str = "cpu", threads: int = 1) -> None:
        """Move a copy of the weights to the device: `cpu`, `cuda` or `cuda:N`; on the CPU use up to `threads`.

        Raises `DeviceError`: the device is not here.
        """
        self._device = device_named(device)
        self._artefact = artefact
        self._spec = artefact.spec
        self._info = artefact.info()
        self._vocabularies = {feature.name: artefact.vocabulary(feature.name) for feature in self._spec.features}
        self._model = artefact.model().to(self._device)
        self._fused = FusedForm(artefact, threads) if self._device.type == "cpu" else None

    @property
    def device(self) -> str:
        """Where it scores."""
        return str(self._device)

    @property
    def info(self) -> ModelInfo:
        """What this model is and reads."""
        return self._info

    @property
    def digest(self) -> str:
        """Digest of the artefact: names this model in answers."""
        return self._artefact.digest

    @property
    def artefact(self) -> Artefact:
        """The artefact that this scorer serves."""
        return self._artefact

    def score(self, batch: ScoreBatch, cosines: Cosines | None = None) -> Float32:
        """Click probability of each candidate, `[T] float32`, always finite.

        `cosines` that lie on the device are read in the place of the batch's own, without a copy; those of the batch
        may then be anything that is finite, such as a zero spread over the shape.

        Raises `BatchError` when the features do not fit or a present cosine of `cosines` is not finite, `ScoreError`
        when the model gives what is no number: weights that are each finite may still overflow together.
        """
        scores = self._score_fused(self._fused, batch, cosines) if self._fused else self._score_torch(batch, cosines)
        if not np.isfinite(scores).all():
            count = int((~np.isfinite(scores)).sum())
            msg = (
                f"artefact {self._artefact.version!r} ({self.digest[:16]}…) gave {count} of {len(scores)} scores that "
                f"are not finite; activate the artefact before it"
            )
            raise ScoreError(msg)
        return scores

    def _score_fused(self, fused: FusedForm, batch: ScoreBatch, cosines: Cosines | None) -> Float32:
        check_columns(batch, self._spec)
        return fused.score(batch if cosines is None else with_cosines(batch, cosines))

    def _score_torch(self, batch: ScoreBatch, cosines: Cosines | None) -> Float32:
        with torch.inference_mode():
            rows = to_rows(batch, self._spec, self._vocabularies, self._device, cosines)
            fine = torch.ones(1, device=self._device)
            if cosines is not None:
                rows, fine = _with_finite_cosines(rows)
            result: Forward = self._model(rows)
            found = _numpy(torch.cat((result.probability[:, CLICK], fine)))  # the one wait for a GPU
        if not found[-1]:
            msg = "cosines that a mask calls present are not finite; expected the engine's own"
            raise BatchError(msg)
        return found[:-1]

    def stages(self, batch: ScoreBatch) -> Stages:
        """Return the same pass by Torch, with every named stage: its scores differ in rounding. Raises `BatchError`."""
        result = self._forward(batch)
        named = {name: _numpy(stage) for name, stage in result.stages.items()}
        return Stages(_numpy(result.probability), _numpy(result.logits), named)

    @property
    def blocks(self) -> tuple[tuple[str, int], ...]:
        """Names and widths of the parts of stage `tower_input`, in order."""
        return tower_blocks(self._spec, blocks_of(self._artefact.manifest.network))

    def score_inputs(self, inputs: Float32) -> Float32:
        """Click probability `[N]` of rows `[N, inputs]` like those of stage `tower_input`."""
        with torch.inference_mode():
            logits = self._model.network.tower(upload(inputs, self._device))
            return _numpy(probability(logits)[:, CLICK])

    def _forward(self, batch: ScoreBatch) -> Forward:
        with torch.inference_mode():
            result: Forward = self._model(to_rows(batch, self._spec, self._vocabularies, self._device))
            return result


def to_rows(
    batch: ScoreBatch,
    spec: FeatureSpec,
    vocabularies: Mapping[str, Lookup],
    device: torch.device = CPU,
    cosines: Cosines | None = None,
) -> RowBatch:
    """Replace every id of `batch` by its table row, as tensors; `cosines` stand in the place of the batch's own.

    Raises `BatchError`: the columns are not `spec`'s, or `cosines` are not on the device or not of the batch's shape.
    """
    check_columns(batch, spec)
    item, category = vocabularies[ITEM], vocabularies[CATEGORY]

    def put(column: npt.NDArray[np.generic]) -> Tensor:
        return upload(column, device)

    if cosines is None:
        recent_cosine, retrieved_cosine = put(batch.recent_cosine), put(batch.retrieved_cosine)
    else:
        recent_cosine = adopt("recent_cosine", cosines.recent, batch.recent_cosine.shape, device)
        retrieved_cosine = adopt("retrieved_cosine", cosines.retrieved, batch.retrieved_cosine.shape, device)
    return RowBatch(
        user_features=put(_feature_rows(batch.user_features, spec.user_names, vocabularies)),
        recent_item=put(item.rows(batch.recent_item)),
        recent_category=put(category.rows(batch.recent_category)),
        recent_mask=put(batch.recent_mask),
        candidate_features=put(_feature_rows(batch.candidate_features, spec.candidate_names, vocabularies)),
        recent_cosine=recent_cosine,
        recent_cosine_present=put(batch.recent_cosine_present),
        retrieved_item=put(item.rows(batch.retrieved_item)),
        retrieved_category=put(category.rows(batch.retrieved_category)),
        retrieved_cosine=retrieved_cosine,
        retrieved_mask=put(batch.retrieved_mask),
        owners=put(batch.owners()),
        bounds=tuple(batch.bounds.tolist()),
    )


def _with_finite_cosines(rows: RowBatch) -> tuple[RowBatch, Tensor]:
    """The rows with 0 for cosines that are no number, and whether all that are present are, `[1] float32` 1 or 0.

    A number that is not finite would count beyond the tiers, and lies on the device, where nothing has looked at it.
    """
    recent, recent_fine = _finite(rows.recent_cosine, rows.recent_cosine_present)
    retrieved, retrieved_fine = _finite(rows.retrieved_cosine, rows.retrieved_mask)
    fine = (recent_fine & retrieved_fine).to(torch.float32).reshape(1)
    return replace(rows, recent_cosine=recent, retrieved_cosine=retrieved), fine


def _finite(column: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    finite = column.isfinite()
    return column.masked_fill(~finite, 0.0), (finite | ~present).all()


def _feature_rows(columns: Int64, names: tuple[str, ...], vocabularies: Mapping[str, Lookup]) -> Int64:
    rows = np.empty(columns.shape, np.int64)
    for index, name in enumerate(names):
        rows[:, index] = vocabularies[name].rows(columns[:, index])
    return rows


def _numpy(tensor: Tensor) -> Float32:
    array: Float32 = tensor.cpu().numpy()
    return array
