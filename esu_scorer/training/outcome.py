"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from muse_stream.esu_scorer.evaluation import Report
from muse_stream.esu_scorer.training.rundir import Done, RunDirectory


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run.

    Attributes:
        artefact: Directory of the trained model.
        validation: Evaluation on the part `validation`; None where it has no sample.
        samples: Learnt from, over all epochs.
        samples_per_second: Of the training loop, since it was last resumed.
        before: Whether the run had been finished before this call, which then did nothing.

    """

    artefact: Path
    validation: Report | None
    samples: int
    samples_per_second: float
    before: bool


def metrics_of(report: Report) -> dict[str, float]:
    """The report's metrics that exist."""
    found = {name: getattr(report, name).value for name in ("gauc", "auc", "log_loss", "calibration")}
    return {name: value for name, value in found.items() if value is not None}


def outcome_of(run: RunDirectory, done: Done, *, before: bool) -> Trained:
    """What the finished run in a directory came to."""
    validation = bytes(done.validation)
    report = None if validation == b"null" else Report.from_json(validation)
    return Trained(run.artefact, report, done.samples, done.samples_per_second, before)
