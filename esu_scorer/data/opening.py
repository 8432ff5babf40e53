"""Data sets by name and path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from muse_stream.esu_scorer.data.event_source import EventSource
from muse_stream.esu_scorer.data.events import Events
from muse_stream.esu_scorer.data.kuairand import KuaiRand
from muse_stream.esu_scorer.data.source import Source
from muse_stream.esu_scorer.data.taobao_joined import TaobaoJoined
from muse_stream.esu_scorer.data.taobao_raw import TaobaoRaw
from muse_stream.esu_scorer.errors import DataError


def open_source(kind: str, path: Path) -> Source:
    """Open a data set; its files are checked before the first sample is read.

    Args:
        kind: `taobao-mm` (either layout), `kuairand`, or `events` (a parquet file in the normal form).
        path: Its folder or file.

    Raises:
        DataError: There is no such kind or path, or the files are not what the kind has.

    """
    if kind not in KINDS:
        msg = f"there is no data set {kind!r}, expected one of {', '.join(sorted(KINDS))}"
        raise DataError(msg)
    if not path.exists():
        msg = f"{path}: no such file or folder; expected {_EXPECTED[kind]}"
        raise DataError(msg)
    if path.is_dir() == (kind == "events"):
        msg = f"{path}: is {'a folder' if path.is_dir() else 'a file'}; expected {_EXPECTED[kind]}"
        raise DataError(msg)
    return KINDS[kind](path)


def _taobao(path: Path) -> Source:
    """The joined layout where both are there: it needs no index."""
    if any(path.glob("train/*shard-*.parquet")) or any(path.glob("test/*shard-*.parquet")):
        return TaobaoJoined(path)
    if any(path.glob("*_samples.parquet")) or any(path.glob("raw/*_samples.parquet")):
        return TaobaoRaw(path)
    msg = f"{path}: neither layout found; expected {_EXPECTED['taobao-mm']}"
    raise DataError(msg)


def _events(path: Path) -> Source:
    return EventSource(path.stem, Events.from_parquet(path))


KINDS: dict[str, Callable[[Path], Source]] = {"taobao-mm": _taobao, "kuairand": KuaiRand, "events": _events}
_EXPECTED = {
    "taobao-mm": "the folder with train/train-shard-*.parquet, or with raw/train_samples.parquet",
    "kuairand": "the folder with log_standard_*.csv and the feature files",
    "events": "a parquet file with columns user, item, category, action, time_ms, label",
}
