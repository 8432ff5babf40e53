"""What serving asks of a model, whatever computes it.

Invariant: a model never changes after it was made, so any number of threads may use it at once and a swap is the
replacement of one reference. What `info` says holds for its whole life.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from muse_stream.esu_scorer.batch import Float32, ScoreBatch
from muse_stream.esu_scorer.devices import Cosines
from muse_stream.esu_scorer.features import FeatureSpec


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model is and reads.

    Attributes:
        digest: Names the model in answers.
        version: For people.
        space: Vector space of its cosines.
        k: Retrieved behaviours that it reads.
        r: Recent behaviours that it reads.
        spec: Features, in the order of its columns.
        trained: False for seeded first weights.

    """

    digest: str
    version: str
    space: str
    k: int
    r: int
    spec: FeatureSpec
    trained: bool


class ServedModel(Protocol):
    """A model in service."""

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        ...

    @property
    def device(self) -> str:
        """Where it scores."""
        ...

    def score(self, batch: ScoreBatch, cosines: Cosines | None = None) -> Float32:
        """Click probability of each candidate, `[T] float32`, always finite.

        Raises `BatchError` when the features do not fit, `ScoreError` when the model gives what is no number.
        """
        ...
