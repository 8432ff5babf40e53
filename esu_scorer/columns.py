"""Does a batch fit a model, and cosines from elsewhere put into it: what all served models have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muse_stream.esu_scorer.batch import Bool, Float32, Int64, ScoreBatch
from muse_stream.esu_scorer.devices import CPU, Column, Cosines, adopt
from muse_stream.esu_scorer.errors import BatchError
from muse_stream.esu_scorer.features import FeatureSpec


def check_columns(batch: ScoreBatch, spec: FeatureSpec) -> None:
    """Raise `BatchError` unless the batch has as many feature columns as `spec`."""
    _check_count("candidate_features", batch.candidate_features, spec.candidate_names)
    _check_count("user_features", batch.user_features, spec.user_names)


def with_cosines(batch: ScoreBatch, cosines: Cosines) -> ScoreBatch:
    """The batch with these cosines. Raises `BatchError`: they lie not on the CPU, or a present one is not finite."""
    return replace(
        batch,
        recent_cosine=_on_cpu("recent_cosine", cosines.recent, batch.recent_cosine_present),
        retrieved_cosine=_on_cpu("retrieved_cosine", cosines.retrieved, batch.retrieved_mask),
    )


def _on_cpu(name: str, column: Column, present: Bool) -> Float32:
    array: Float32 = np.asarray(adopt(name, column, present.shape, CPU))
    return array


def _check_count(name: str, columns: Int64, names: tuple[str, ...]) -> None:
    if columns.shape[1] != len(names):
        msg = f"{name} has {columns.shape[1]} columns, this model reads {len(names)}: {', '.join(names)}"
        raise BatchError(msg)
