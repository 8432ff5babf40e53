"""What `muse-stream vectors` prints."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from muse_stream.esu_scorer.vectors import Progress, Quality
from muse_stream.streams.learning.vectors import Kind, Task


def table(task: Task, found: Mapping[Kind, Sequence[Quality]]) -> str:
    """The comparison in markdown."""
    first = next(iter(found.values()))[0]
    lines = [
        f"{task.items.name}: {len(task.items):,} items, {len(task.training):,} purchases with a companion before "
        f"{_utc(task.until_ms)}, {first.pairs:,} held-out pairs after it; recall of the companion among the 10 "
        f"nearest, int8 vectors, mean (lowest to highest) of {len(next(iter(found.values())))} seeds",
        "",
        "| vectors | all pairs | seen in training | not seen | item new | alignment | uniformity | items with one |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, each in found.items():
        cells = [
            _cell([one.recall for one in each], 4),
            _cell([one.recall_seen for one in each], 4),
            _cell([one.recall_unseen for one in each], 4),
            _cell([one.recall_new for one in each], 4),
            _cell([one.alignment for one in each], 2),
            _cell([one.uniformity for one in each], 2),
            f"{each[0].items:,}",
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def show(progress: Progress) -> None:
    """One line an epoch, to stderr."""
    judged, worth = progress.quality, ""
    if judged is not None:
        alignment, uniformity = judged.alignment or 0.0, judged.uniformity or 0.0
        worth = f", recall@10 {judged.recall:.4f}, alignment {alignment:.2f}, uniformity {uniformity:.2f}"
    if progress.epoch == 0:
        click.echo(f"untrained{worth}", err=True)
        return
    click.echo(
        f"epoch {progress.epoch} of {progress.epochs}: loss {progress.loss:.4f}{worth}, temperature "
        f"{progress.temperature:.3f}, {progress.rate:,.0f} pairs/s, {progress.left_seconds:.0f} s left",
        err=True,
    )


def said(result: Mapping[str, Any], judged: Quality | None) -> str:
    """What became of one kind, in a few lines."""
    learnt = result["kind"] not in {"tfidf", "random"}
    source = f", learnt from purchases before {_utc(result['until_ms'])}" if learnt else ""
    lines = [f"{result['with_vector']:,} of {result['items']:,} items have a vector of {result['dimension']}{source}"]
    if judged is None:
        lines.append(f"too few purchases with a companion after {_utc(result['until_ms'])}: not judged")
    else:
        before = "" if result["before"] is None else f" (untrained {result['before']['recall']:.4f})"
        lines.append(f"recall@10 of a later companion {judged.recall:.4f}{before}, over {judged.pairs:,} pairs")
    if result["out"]:
        lines.append(f"written to {result['out']}")
    if result["published"]:
        lines.append(f"{result['published']:,} items published, all acknowledged")
    return "\n".join(lines)


def _utc(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1e3, UTC):%Y-%m-%d %H:%M} UTC"


def _cell(values: Sequence[float | None], digits: int) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return "none"
    mean, low, high = (f"{number:.{digits}f}" for number in (sum(there) / len(there), min(there), max(there)))
    return mean if low == high else f"{mean} ({low} to {high})"
