"""Settings of a training run, and what it says while it runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
CountOrNone = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(gt=0)]


class TrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to train; the defaults are those of the public release, except that it has 8 ranks of 1 000 samples.

    Attributes:
        seed: Of first weights and of the order of samples; epoch e is shuffled with `seed + e`.
        batch: Samples of one step.
        epochs: Passes over the part `train`.
        dense_rate: Learning rate of AdamW: everything but the embedding tables.
        table_rate: Learning rate of SparseAdam: the embedding tables.
        minimum_count: An id seen less often has the unknown row.
        rows_max: Rows that a table may have; a feature of more ids is hashed into so many.
        refresh_batches: A rule that retrieves by learnt tables is told of them every so many batches.
        checkpoint_batches: A checkpoint every so many batches, and one at the end.
        evaluate_batches: The part `validation` is evaluated every so many batches; 0 = at the end only.
        report_batches: One line of metrics every so many batches.
        threads: Of Torch; the same weights come out to the bit only with as many. 0 = half of the cores, at least 1:
            the other half prepares the next batch, and threads that want for cores spend their time in waiting.
        space: Name of the vector space of the item vectors, for the artefact.

    """

    seed: Annotated[int, Meta(ge=0)] = 1
    batch: Count = 1000
    epochs: Count = 1
    dense_rate: Rate = 2e-4
    table_rate: Rate = 2e-3
    minimum_count: Count = 1
    rows_max: Annotated[int, Meta(ge=2)] = 50_000_000
    refresh_batches: Count = 100
    checkpoint_batches: Count = 1000
    evaluate_batches: CountOrNone = 0
    report_batches: Count = 10
    threads: CountOrNone = 0
    space: str = "v1"

    def resolved(self) -> TrainingConfig:
        """With the number of threads that 0 stands for here."""
        return msgspec.structs.replace(self, threads=self.threads or max(1, (os.cpu_count() or 1) // 2))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        stage: `counting` ids, `skipping` what was learnt before, `training`, `validating` or `finished`.
        done: Samples.
        total: Samples to do; None = not known.
        rate: Samples per second of this stage.
        seconds_left: At this rate; None = not known.
        loss: Mean cross-entropy between the newest two lines of metrics; None = none yet.
        gauc: Of the newest batches, each scored before it was learnt from; None = none yet, or undefined.

    """

    stage: str
    done: int
    total: int | None
    rate: float
    seconds_left: float | None
    loss: float | None = None
    gauc: float | None = None


Told = Callable[[Progress], None]


class Pace:
    """Makes the `Progress` of one stage, which begins now at `first` samples."""

    def __init__(self, stage: str, clock: Callable[[], float], *, first: int = 0, total: int | None = None) -> None:
        self._stage, self._clock, self._first, self._total = stage, clock, first, total
        self._begun = clock()

    def at(self, done: int, *, loss: float | None = None, gauc: float | None = None) -> Progress:
        """After `done` samples in all."""
        rate = (done - self._first) / max(self._clock() - self._begun, 1e-9)
        left = (self._total - done) / rate if self._total is not None and rate > 0 else None
        return Progress(self._stage, done, self._total, rate, left, loss, gauc)
