"""Every way in which a file can be wrong, for both layouts of Taobao-MM: the error names file, column and row."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muse_stream.esu_scorer.data.parquet import Kind, check_files, read
from muse_stream.esu_scorer.data.taobao_joined import TaobaoJoined
from muse_stream.esu_scorer.data.taobao_raw import TaobaoRaw
from muse_stream.esu_scorer.errors import DataError
from tests.esu_scorer.data.making_files import World, write, write_raw

Rows = list[dict[str, Any]]
SHARD = "test-shard-000000.parquet"


def joined(folder: Path, rows: Rows, **types: pa.DataType) -> Path:
    write(folder / "test" / SHARD, rows, group=4, **types)
    return folder


def rows_of(count: int = 12) -> Rows:
    return World.random(users=5, samples=count, length=6, seed=2).joined_rows()


def refused(act: Callable[[], object], *texts: str) -> None:
    with pytest.raises(DataError) as caught:
        act()
    for text in texts:
        assert text in str(caught.value)


def changed(row: int, **cells: object) -> Rows:
    rows = rows_of()
    rows[row] |= {name.removeprefix("c"): value for name, value in cells.items()}
    return rows


@pytest.mark.parametrize(
    ("row", "cells", "column", "says"),
    [
        (9, {"label_0": [1, 1]}, "label_0", "is [1, 1], expected [1, 0] (no click) or [0, 1] (a click)"),
        (9, {"label_0": [0, 0]}, "label_0", "is [0, 0]"),
        (9, {"label_0": [2, -1]}, "label_0", "is [2, -1]"),
        (9, {"label_0": [0, 2]}, "label_0", "is [0, 2]"),
        (9, {"label_0": [1]}, "label_0", "is [1]"),
        (9, {"label_0": [0, 1, 0]}, "label_0", "is [0, 1, 0]"),
        (9, {"label_0": None}, "label_0", "is []"),
        (9, {"label_0": [0, None]}, "label_0", "place 1 is null"),
        (10, {"c129_1": 0}, "129_1", "is 0 or null (missing), expected an id"),
        (10, {"c129_1": None}, "129_1", "is 0 or null"),
        (10, {"c205": 0}, "205", "is 0 or null"),
        (11, {"c150_2_180": [1, 2, 3], "c151_2_180": [1, 2]}, "151_2_180", "has 2 entries, 150_2_180 has 3"),
        (11, {"c150_2_180": [1, None, 3], "c151_2_180": [1, 2, 3]}, "150_2_180", "place 1 is null"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, row: int, cells: dict[str, object], column: str, says: str) -> None:
    source = TaobaoJoined(joined(tmp_path, changed(row, **cells)))
    refused(lambda: list(source.blocks("test")), f"{SHARD}: column '{column}', row {row}: ", says)


@pytest.mark.parametrize("name", ["label_0", "129_1", "130_3", "150_2_180", "205", "214"])
def test_a_missing_column_is_named_before_reading(tmp_path: Path, name: str) -> None:
    rows = [{key: value for key, value in row.items() if key != name} for row in rows_of()]
    refused(lambda: TaobaoJoined(joined(tmp_path, rows)), f"{SHARD}: column '{name}' is missing; the file has ")


def test_a_column_of_another_type_is_named_before_reading(tmp_path: Path) -> None:
    texts = [row | {"205": "x"} for row in rows_of()]
    folder = joined(tmp_path, texts, c205=pa.string())
    refused(lambda: TaobaoJoined(folder), f"{SHARD}: column '205' is string, expected int64")
    folder = joined(tmp_path, rows_of(), label_0=pa.list_(pa.int64()))
    refused(lambda: TaobaoJoined(folder), "column 'label_0' is list<element: int64>, expected list<int8>")


def test_all_files_are_looked_at_before_the_first_block(tmp_path: Path) -> None:
    for shard in range(14):
        write(tmp_path / f"train/train-shard-{shard:06d}.parquet", rows_of())
    for shard in range(2, 14):
        path = tmp_path / f"train/train-shard-{shard:06d}.parquet"
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError) as caught:
        TaobaoJoined(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[0].startswith(f"{tmp_path}/train/train-shard-000002.parquet: cannot be read as parquet (")
    assert "cut short? fetch it again" in lines[0]
    assert lines[-1] == "... and 2 more"


def test_an_empty_file_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").touch()
    refused(lambda: check_files([tmp_path / "x.parquet"], {}), "x.parquet: cannot be read as parquet (0 bytes")
    refused(lambda: check_files([tmp_path / "y.parquet"], {}), "y.parquet: no such file")


def test_a_damaged_page_names_the_row_group(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", rows_of(), group=4)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(data)
    check_files([path], {"label_0": Kind.BYTES})
    with pytest.raises(DataError, match=re.escape(f"{path}: row group 1, from row 4: cannot be decoded: ")):
        list(read(path, ["label_0"], rows=2))


def test_no_shards(tmp_path: Path) -> None:
    refused(lambda: TaobaoJoined(tmp_path), "no shards found, expected train/train-shard-000000.parquet")


def test_raw_files_are_checked_before_reading(tmp_path: Path) -> None:
    folder = write_raw(tmp_path, World.random(users=5, samples=9), "test")
    users = tmp_path / "raw/test_user_features.parquet"
    kept = users.read_bytes()
    users.unlink()
    refused(lambda: TaobaoRaw(folder), "test_user_features.parquet: no such file")
    users.write_bytes(kept[:-9])
    refused(lambda: TaobaoRaw(folder), "test_user_features.parquet: cannot be read as parquet")
    users.write_bytes(kept)
    (tmp_path / "raw/test_samples.parquet").unlink()
    refused(lambda: TaobaoRaw(folder), "no samples found, expected train_samples.parquet or test_samples.parquet")


@pytest.mark.parametrize(
    ("table", "column", "value", "says"),
    [
        ("samples", "label_0", [1, 1], "row 3: is [1, 1]"),
        ("samples", "129_1", 0, "row 3: is 0 or null"),
        ("samples", "205", 0, "row 3: is 0 or null"),
        ("user_features", "129_1", 0, "row 3: is 0 or null"),
        ("user_features", "151_2_180", [1] * 99, "row 3: has 99 entries, 150_2_180 has "),
    ],
)
def test_a_bad_cell_of_a_raw_file_is_named(tmp_path: Path, table: str, column: str, value: object, says: str) -> None:
    folder = write_raw(tmp_path, World.random(users=5, samples=40), "test")
    path = tmp_path / f"raw/test_{table}.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[3][column] = value
    write(path, rows)
    refused(lambda: list(TaobaoRaw(folder).blocks("test")), f"test_{table}.parquet: column '{column}', ", says)


def test_an_index_that_cannot_be_written(tmp_path: Path) -> None:
    folder = write_raw(tmp_path, World.random(users=5, samples=9), "test")
    (tmp_path / "taken").touch()
    source = TaobaoRaw(folder, work=tmp_path / "taken")
    refused(lambda: list(source.blocks("test")), "taken: the index cannot be written", "pass `work`")
