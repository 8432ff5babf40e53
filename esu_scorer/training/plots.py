"""Figures of a run, where matplotlib is there: `metrics.png` and `report.png`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from muse_stream.esu_scorer.evaluation import Report, plot
from muse_stream.esu_scorer.training.rundir import Metrics


def plot_run(directory: Path, report: Report | None) -> None:
    """Write the figures of the run in `directory`; without matplotlib none."""
    if find_spec("matplotlib") is None:
        return
    _plot_metrics(directory)
    if report is not None:
        plot(report, directory / "report.png", title=directory.name)


def _plot_metrics(directory: Path) -> None:
    lines = [line for line in Metrics.lines(directory) if "loss" in line]
    figure = import_module("matplotlib.figure").Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "gauc"), strict=True):
        known = [(line["samples"], line[name]) for line in lines if line[name] is not None]
        axes.plot([samples for samples, _ in known], [value for _, value in known])
        axes.set(xlabel="samples learnt from", ylabel=name)
    figure.savefig(directory / "metrics.png", dpi=110)
