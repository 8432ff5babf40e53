"""KuaiRand: real exposures of short videos, with times and thousands of behaviours a user (Gao et al., CIKM 2022).

    log_standard_*.csv           what the recommender showed     user_id, video_id, time_ms, is_click, ...
    log_random_*.csv             what was shown at random        the same
    video_features_basic_*.csv   video_id, author_id, video_type, upload_type, tag, ...
    user_features_*.csv          user_id, user_active_degree, follow_user_num_range, ...

Columns are found by name; others are not read. A sample is an exposure; its label is `is_click`. Behaviours are the
clicked videos of all logs; a window holds those strictly before the exposure.

The files count users, videos, authors and tags from 0, and 0 means "missing" here: their ids are the file's number
plus 1. A category is the first of a video's tags. Texts become ids by their hash.

Memory: the logs as columns, about 80 bytes an exposure while they are sorted (1 GB for the 11.7 M of KuaiRand-1K), and
40 a video. KuaiRand-27K does not fit this loader.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data import item_vectors
from muse_stream.esu_scorer.data.csv_columns import Cell, check_headers, read_csv
from muse_stream.esu_scorer.data.event_source import EventSource
from muse_stream.esu_scorer.data.events import NO_LABEL, Events
from muse_stream.esu_scorer.data.feature_table import FeatureTable, text_id
from muse_stream.esu_scorer.data.item_vectors import Pieces, Quantise
from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]
Exposures = Literal["standard", "random", "all"]

CLICK = 1  # action code of every behaviour: the default code of a click
_LOG = dict.fromkeys(("user_id", "video_id", "time_ms", "is_click"), Cell.NUMBER)
_VIDEO = {
    "video_id": Cell.NUMBER,
    "author_id": Cell.NUMBER,
    "tag": Cell.TEXT,
    "video_type": Cell.TEXT,
    "upload_type": Cell.TEXT,
}
_USER = {
    "user_id": Cell.NUMBER,
    **dict.fromkeys(
        ("user_active_degree", "follow_user_num_range", "fans_user_num_range", "register_days_range"), Cell.TEXT
    ),
}


class KuaiRand(EventSource):
    """The CSV files of a folder, or of its `data/`. All headers are looked at before a file is read."""

    def __init__(
        self,
        path: Path,
        *,
        exposures: Exposures = "standard",
        vectors: Path | None = None,
        quantise: Quantise | None = None,
    ) -> None:
        """Read the files.

        Args:
            path: Folder.
            exposures: Which log's exposures are samples; the clicks of both logs are behaviours in any case.
            vectors: A parquet with columns `item` (the files' video_id) and `vector`; None = there are no vectors.
            quantise: For vectors of floats; see `item_vectors.from_parquet`.

        Raises:
            DataError: A file or column is missing, or a cell is bad.

        """
        folder = path / "data" if (path / "data").is_dir() else path
        logs = {kind: _files(folder, f"log_{kind}_*.csv", kind == "standard") for kind in ("standard", "random")}
        videos, users = _one(folder, "video_features_basic_*.csv"), _one(folder, "user_features_*.csv")
        check_headers({**{log: _LOG for found in logs.values() for log in found}, videos: _VIDEO, users: _USER})
        table = _videos(videos)
        super().__init__(
            f"kuairand-{exposures}",
            _events(logs, exposures, table),
            items=FeatureTable(
                table.ids, {name: table.columns[name] for name in ("author", "video_type", "upload_type")}
            ),
            users=_users(users),
            caveat="" if exposures == "standard" else f"exposures: {exposures}",
        )
        self._file, self._quantise = vectors, quantise

    def vectors(self) -> Iterator[Pieces]:
        """The vectors of the file that was given; none without one. Raises `DataError`."""
        if self._file is not None:
            for ids, vectors in item_vectors.from_parquet(self._file, quantise=self._quantise, zero_is_an_id=True):
                yield ids + 1, vectors


def _events(logs: dict[str, list[Path]], exposures: Exposures, videos: FeatureTable) -> Events:
    read = [(kind, read_csv(log, _LOG), log) for kind, found in logs.items() for log in found]
    for _, columns, log in read:
        _check_log(columns, log)
    whole = {name: np.concatenate([columns[name] for _, columns, _ in read]) for name in _LOG}
    sampled = np.concatenate(
        [np.full(len(columns["user_id"]), exposures in {kind, "all"}) for kind, columns, _ in read]
    )
    kept = sampled | (whole["is_click"] == 1)
    order = np.flatnonzero(kept)
    order = order[np.argsort(whole["time_ms"][order], kind="stable")]
    item = whole["video_id"][order] + 1
    return Events.of(
        {
            "user": whole["user_id"][order] + 1,
            "item": item,
            "category": videos.look_up(item, ["category"])[:, 0],
            "action": np.full(len(order), CLICK),
            "time_ms": whole["time_ms"][order],
            "label": np.where(sampled[order], whole["is_click"][order], NO_LABEL),
        },
        "kuairand",
    )


def _check_log(columns: dict[str, Int64], log: Path) -> None:
    for name, low, high in (("user_id", 0, None), ("video_id", 0, None), ("time_ms", 1, None), ("is_click", 0, 1)):
        wrong = (columns[name] < low) | (columns[name] > (high if high is not None else np.iinfo(np.int64).max - 1))
        if wrong.any():
            row = int(np.argmax(wrong))
            expected = f"{low} or {high}" if high is not None else f"at least {low}"
            msg = f"{log}: column {name!r}, line {row + 2}: is {columns[name][row]}, expected {expected}"
            raise DataError(msg)


def _videos(path: Path) -> FeatureTable:
    columns = read_csv(path, _VIDEO, {"tag": _category, "video_type": text_id, "upload_type": text_id})
    features = {"category": columns["tag"], "author": columns["author_id"] + 1}
    features |= {name: columns[name] for name in ("video_type", "upload_type")}
    return FeatureTable.of(columns["video_id"] + 1, features, str(path))


def _users(path: Path) -> FeatureTable:
    texts = [name for name, cell in _USER.items() if cell is Cell.TEXT]
    columns = read_csv(path, _USER, dict.fromkeys(texts, text_id))
    return FeatureTable.of(columns["user_id"] + 1, {name: columns[name] for name in texts}, str(path))


def _category(tags: str) -> int:
    """The first of tags such as `39` or `12,65`, plus 1; 0 where there is none."""
    first = tags.split(",", maxsplit=1)[0].strip()
    if not first or first.upper() == "UNKNOWN":
        return 0
    if not first.isdecimal():
        msg = "expected tags as numbers, separated by commas"
        raise ValueError(msg)
    return int(first) + 1


def _files(folder: Path, pattern: str, required: bool) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if required and not found:
        msg = f"{folder}: no file {pattern} found; expected the CSV files of KuaiRand-1K here or below data/"
        raise DataError(msg)
    return found


def _one(folder: Path, pattern: str) -> Path:
    found = _files(folder, pattern, True)
    if len(found) > 1:
        msg = f"{folder}: {len(found)} files {pattern} found ({', '.join(file.name for file in found)}), expected one"
        raise DataError(msg)
    return found[0]
