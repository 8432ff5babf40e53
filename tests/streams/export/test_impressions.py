"""The file of impressions: what is read, and what is refused where."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muse_stream.streams.errors import SourceError
from muse_stream.streams.export.impressions import read_impressions
from muse_stream.streams.wire.ids import id_of, key_of
from muse_stream.streams.wire.partitioner import partition_of_key

GOOD: dict[str, list[Any]] = {"user": [7, 8], "item": [1, 2], "time_ms": [10, 20], "label": [1, 0]}


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table({**GOOD, **columns}), path / "shown.parquet")
    return path / "shown.parquet"


def csv(path: Path, text: str) -> Path:
    (path / "shown.csv").write_text(text, encoding="utf-8")
    return path / "shown.csv"


def test_numbers_and_texts_by_the_id_rule(tmp_path: Path) -> None:
    numbers = read_impressions(parquet(tmp_path), 4)
    assert numbers.user.tolist() == [7, 8]
    assert numbers.label.tolist() == [True, False]
    assert numbers.row.tolist() == [1, 2]
    assert numbers.positions is None
    texts = read_impressions(csv(tmp_path, "item,user,label,time_ms,other\n85123A,7,1,10,x\n2,anna,0,20,y\n"), 4)
    assert texts.user.tolist() == [7, id_of("anna")]
    assert texts.item.tolist() == [id_of("85123A"), 2]
    assert texts.partition.tolist() == [partition_of_key(key_of(user), 4) for user in (7, "anna")]
    assert texts.partition[0] == numbers.partition[0]


def test_positions_are_read_whole(tmp_path: Path) -> None:
    more = {"behaviours_position": [1, 2], "users_position": [3, 4], "items_position": [5, 6]}
    read = read_impressions(parquet(tmp_path, **more), 4)
    assert read.positions is not None
    assert read.positions.tolist() == [[1, 3, 5], [2, 4, 6]]


def test_the_systems_own_users_are_marked(tmp_path: Path) -> None:
    read = read_impressions(parquet(tmp_path, user=["__muse-canary", "anna"]), 4)
    assert read.partition.tolist() == [-1, partition_of_key(b"anna", 4)]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"user": [7, None]}, "row 2, column user: no value"),
        ({"user": [7, 0]}, "row 2, column user: 0; 0 means missing"),
        ({"user": [0.5, 1.0]}, "column user: values are double, expected whole numbers or text"),
        ({"user": ["a", ""]}, "row 2, column user"),
        ({"item": ["0", "a"]}, "row 1, column item: '0' is id 0"),
        ({"time_ms": ["10", "noon"]}, "row 2, column time_ms: 'noon', expected a whole number"),
        ({"time_ms": [10, -1]}, "row 2, column time_ms: -1; expected a whole number from 0"),
        ({"time_ms": [1.5, 2.5]}, "column time_ms: values are double"),
        ({"time_ms": np.array([1, 2**64 - 1], np.uint64)}, "column time_ms: a number outside int64"),
        ({"label": [1, 2]}, "row 2, column label: 2; expected 0 or 1"),
        ({"label": pa.array([True, None])}, "row 2, column label: no value"),
        ({"users_position": [1, 2]}, "has users_position and not behaviours_position, items_position"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, columns: dict[str, Any], found: str) -> None:
    with pytest.raises(SourceError, match=found):
        read_impressions(parquet(tmp_path, **columns), 4)


def test_rows_are_counted_over_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_stream.streams.export.impressions.BATCH_ROWS", 1)
    with pytest.raises(SourceError, match="row 2, column label"):
        read_impressions(parquet(tmp_path, label=[1, 7]), 4)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing: time_ms, label"):
        read_impressions(csv(tmp_path, "user,item\n1,2\n"), 4)
    with pytest.raises(SourceError, match=r"missing: request_id"):
        read_impressions(parquet(tmp_path), 4, requests=True)
    with pytest.raises(SourceError, match="is not a readable csv file"):
        read_impressions(csv(tmp_path, ""), 4)
    with pytest.raises(SourceError, match="is not a readable csv file"):
        read_impressions(csv(tmp_path, "user,item,time_ms,label\n1,2,3,1\n1,2\n"), 4)
    (tmp_path / "cut.parquet").write_bytes(parquet(tmp_path).read_bytes()[:-9])
    with pytest.raises(SourceError, match="is not a readable parquet file"):
        read_impressions(tmp_path / "cut.parquet", 4)
    (tmp_path / "shown.json").write_text("{}")
    with pytest.raises(SourceError, match=r"parquet or \.csv are read"):
        read_impressions(tmp_path / "shown.json", 4)
