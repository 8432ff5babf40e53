"""Reports as Markdown tables, columns aligned for reading as text too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from muse_stream.esu_scorer.evaluation.report import Bucket, Interval, Report

NOTHING = "–"


def table(
    reports: Mapping[str, Report],
    *,
    published: Mapping[str, float] | None = None,
    differences: Mapping[str, Interval] | None = None,
    against: str = "",
    caveat: str = "",
) -> str:
    """One row a model.

    Args:
        reports: By model, in the order of the rows.
        published: GAUC that others report for a model, set beside ours and headed as not rerun.
        differences: GAUC minus that of `against`, of the same users (`difference`).
        against: The model that `differences` are taken from.
        caveat: What the data set's `SourceInfo` has every table say, written below.

    """
    columns: dict[str, list[str]] = {
        "model": list(reports),
        "GAUC": [shown(report.gauc) for report in reports.values()],
    }
    if differences is not None:
        columns[f"GAUC – {against}"] = [shown(differences.get(name), sign=True) for name in reports]
    if published is not None:
        columns["GAUC published, not rerun"] = [
            f"{published[name]:.4f}" if name in published else NOTHING for name in reports
        ]
    columns |= {
        "AUC": [shown(report.auc) for report in reports.values()],
        "log loss": [shown(report.log_loss) for report in reports.values()],
        "predicted / observed": [shown(report.calibration, digits=3) for report in reports.values()],
        "samples": [f"{report.samples:,}" for report in reports.values()],
        "users with both": [_users(report) for report in reports.values()],
    }
    text = aligned(list(columns), list(zip(*columns.values(), strict=True)))
    return f"{text}\n{caveat}\n" if caveat else text


def details(report: Report) -> str:
    """Three tables of one model: reliability, by history length, by age of what was retrieved."""
    bins = [
        [f"{each.score_low:.4f} to {each.score_high:.4f}"]
        + [f"{share:.4f}" for share in (each.predicted, each.observed)]
        + [f"{each.samples:,}"]
        for each in report.reliability
    ]
    return "\n".join(
        [
            aligned(["scores", "predicted", "observed", "samples"], bins),
            _bucket_table("behaviours in the window", report.by_length),
            _bucket_table("median age of the retrieved", report.by_age),
        ]
    )


def shown(interval: Interval | None, *, digits: int = 4, sign: bool = False) -> str:
    """`0.6154 [0.6120, 0.6188]`, with only what is known."""
    if interval is None or interval.value is None:
        return NOTHING
    form = f"{'+' if sign else ''}.{digits}f"
    if interval.low is None or interval.high is None:
        return f"{interval.value:{form}}"
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, others to the right; `|` in a cell is escaped."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (heads, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:])]) + "\n"


def _bucket_table(head: str, buckets: Sequence[Bucket]) -> str:
    rows = [
        (each.name, shown(each.gauc), shown(each.auc), f"{each.samples:,}", _users(each), f"{each.clicks:,}")
        for each in buckets
    ]
    return aligned([head, "GAUC", "AUC", "samples", "users with both", "positives"], rows)


def _users(judged: Report | Bucket) -> str:
    return f"{judged.users_counted:,} of {judged.users:,}"
