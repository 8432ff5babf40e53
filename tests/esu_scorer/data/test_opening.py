from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muse_stream.esu_scorer.data.event_source import EventSource
from muse_stream.esu_scorer.data.opening import open_source
from muse_stream.esu_scorer.data.taobao_joined import TaobaoJoined
from muse_stream.esu_scorer.data.taobao_raw import TaobaoRaw
from muse_stream.esu_scorer.errors import DataError
from tests.esu_scorer.data.making_files import DEMO, World, write, write_raw


def test_the_layout_of_taobao_mm_is_found(tmp_path: Path) -> None:
    world = World.random(users=3, samples=4)
    assert isinstance(open_source("taobao-mm", DEMO), TaobaoRaw)
    assert isinstance(open_source("taobao-mm", write_raw(tmp_path, world)), TaobaoRaw)
    write(tmp_path / "train/train-shard-000000.parquet", world.joined_rows())
    assert isinstance(open_source("taobao-mm", tmp_path), TaobaoJoined)


def test_events_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    pq.write_table(pa.table({"user": [1], "item": [2], "time_ms": [3], "label": [1]}), path)
    source = open_source("events", path)
    assert isinstance(source, EventSource)
    assert source.info.name == "shop"


def test_what_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for kind, path, says in (
        ("movies", tmp_path, "there is no data set 'movies', expected one of events, kuairand, taobao-mm"),
        ("kuairand", tmp_path / "x", "x: no such file or folder; expected the folder with log_standard_"),
        ("kuairand", tmp_path, r"no file log_standard_\*\.csv found"),
        ("taobao-mm", tmp_path, "neither layout found; expected the folder with train/train-shard-"),
        ("taobao-mm", tmp_path / "file", "file: is a file; expected the folder with"),
        ("events", tmp_path, "is a folder; expected a parquet file with columns user, item"),
        ("events", tmp_path / "file", "cannot be read as parquet"),
    ):
        with pytest.raises(DataError, match=says):
            open_source(kind, path)
