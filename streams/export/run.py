"""From samples to shards, a list of what was left out, and a summary.

Invariant: exported and left out together are the impressions; the list names every one that is left out.
"""

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from muse_stream.streams.export.columns import Columns, Taken
from muse_stream.streams.export.impressions import Impressions
from muse_stream.streams.export.replay import LeftOut
from muse_stream.streams.export.shards import Shards

TABLE_ROWS = 1_000
"""Samples that become one table: 16 MB of histories of 1 000."""


class Summary(msgspec.Struct, kw_only=True):
    """What an export did."""

    impressions: int = 0
    samples: int = 0
    positives: int = 0
    without_history: int = 0  # samples of users who had no behaviours then, or whom nobody has heard of
    nothing_retrieved: int = 0  # samples with a history: the candidate, or all of the history, had no vectors then
    user_id_feature_differs: int = 0  # samples whose feature 129_1 is not the user's id, which the column shows
    vectors_without_room: int = 0
    left_out: dict[str, int] = {}
    seconds: float = 0.0
    samples_per_second: float = 0.0
    files: list[str] = []


def write(
    impressions: Impressions,
    found: Iterable[Taken | LeftOut],
    columns: Columns,
    shards: Shards,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Write all samples, and beside the part's directory the list of what is left out; raises what `found` does."""
    summary, left_out, begun = Summary(impressions=len(impressions)), Counter[str](), time.monotonic()
    waiting: list[Taken] = []
    path = shards.path.with_name(f"{shards.path.name}-left-out.csv")
    done = rows = 0
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            listed = csv.writer(file)
            listed.writerow(("row", "user", "item", "time_ms", "reason"))
            for one in found:
                done += len(one.rows)
                if isinstance(one, LeftOut):
                    left_out[one.reason] += len(one.rows)
                    listed.writerows(_lines(impressions, one))
                else:
                    waiting.append(one)
                    rows += len(one.rows)
                if rows >= TABLE_ROWS:
                    _flush(summary, waiting, impressions, columns, shards)
                    waiting, rows = [], 0
                    told(done, len(impressions))
            if waiting:
                _flush(summary, waiting, impressions, columns, shards)
        summary.files = [str(name) for name in shards.finish()]
    except BaseException:
        shards.abandon()
        path.unlink(missing_ok=True)
        raise
    told(done, len(impressions))
    summary.left_out = dict(sorted((reason, count) for reason, count in left_out.items() if count))
    summary.seconds = round(time.monotonic() - begun, 3)
    summary.samples_per_second = round(summary.samples / max(1e-9, summary.seconds), 1)
    return summary


def _flush(summary: Summary, waiting: list[Taken], impressions: Impressions, columns: Columns, shards: Shards) -> None:
    shards.add(columns.table(waiting, impressions))
    rows = np.concatenate([one.rows for one in waiting])
    summary.samples += len(rows)
    summary.positives += int(impressions.label[rows].sum())
    summary.without_history += sum(len(one.rows) for one in waiting if one.features.window[0] == one.features.window[1])
    summary.nothing_retrieved += sum(map(_nothing_retrieved, waiting))
    summary.user_id_feature_differs += columns.differing_user_ids(waiting, impressions)


def _nothing_retrieved(one: Taken) -> int:
    start, stop = one.features.window
    return int((one.features.positions[one.candidates] < 0).all(axis=1).sum()) if stop > start else 0


def _lines(impressions: Impressions, left_out: LeftOut) -> Iterable[tuple[int, int, int, int, str]]:
    columns = (impressions.row, impressions.user, impressions.item, impressions.time_ms)
    cells = (column[left_out.rows].tolist() for column in columns)
    return ((*line, left_out.reason.value) for line in zip(*cells, strict=True))
