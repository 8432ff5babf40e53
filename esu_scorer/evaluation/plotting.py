"""One figure of a report: reliability, GAUC by history length, GAUC by age of what was retrieved.

Needs matplotlib (`muse-stream[plots]`), which nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from muse_stream.esu_scorer.errors import PlotError
from muse_stream.esu_scorer.evaluation.bootstrap import USERS_LEAST
from muse_stream.esu_scorer.evaluation.report import Bucket, Report
from muse_stream.esu_scorer.evaluation.table import shown

BLUE, GREY = "#0072B2", "#999999"  # of Okabe and Ito's palette, told apart by colour-blind people
Axes = Any  # matplotlib is not imported to check types


def check() -> None:
    """Raise `PlotError` where matplotlib is missing: before hours are spent, not after."""
    try:
        import_module("matplotlib")
    except ModuleNotFoundError as error:
        msg = "plots need matplotlib, which is not here: install muse-stream[plots]; tables and JSON say the same"
        raise PlotError(msg) from error


def plot(report: Report, path: Path, *, title: str = "") -> None:
    """Write the figure; the format follows the path's suffix (`.png`, `.svg`, `.pdf`). Raises `PlotError`."""
    check()
    figure = import_module("matplotlib.figure").Figure(figsize=(13, 4.2), layout="constrained")
    reliability, by_length, by_age = figure.subplots(1, 3)
    _draw_reliability(reliability, report)
    _draw_buckets(by_length, report, report.by_length, "behaviours in the window")
    _draw_buckets(by_age, report, report.by_age, "median age of the retrieved behaviours")
    figure.suptitle(f"{title}  GAUC {shown(report.gauc)}, {report.samples:,} samples".strip())
    figure.savefig(path, dpi=110)


def _draw_reliability(axes: Axes, report: Report) -> None:
    predicted = [each.predicted for each in report.reliability]
    observed = [each.observed for each in report.reliability]
    top = max([*predicted, *observed, 0.01]) * 1.05
    axes.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle="--")
    axes.plot(predicted, observed, color=BLUE, marker="o")
    axes.set(title="Reliability", xlabel="predicted", ylabel="observed", xlim=(0, top), ylim=(0, top))


def _draw_buckets(axes: Axes, report: Report, buckets: Sequence[Bucket], label: str) -> None:
    """GAUC with its interval, one mark a bucket of users enough for one; the whole set's as a line."""
    enough = [each for each in buckets if each.users_counted >= USERS_LEAST]
    known = [(each, each.gauc.value) for each in enough if each.gauc.value is not None]
    for place, (each, value) in enumerate(known):
        low = value if each.gauc.low is None else each.gauc.low
        high = value if each.gauc.high is None else each.gauc.high
        axes.errorbar(place, value, [[max(0.0, value - low)], [max(0.0, high - value)]], color=BLUE, marker="o")
    if report.gauc.value is not None:
        axes.axhline(report.gauc.value, color=GREY, linewidth=1, linestyle="--")
    names = [f"{each.name}\n({each.samples:,})" for each, _ in known]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set(title=f"By {label}", ylabel="GAUC")
