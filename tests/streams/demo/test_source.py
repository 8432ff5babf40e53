from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muse_stream.streams.demo import source
from muse_stream.streams.demo.feed import Rows
from muse_stream.streams.demo.source import count_rows, read_rows
from muse_stream.streams.errors import SourceError

CSV = "user,item,event_time_ms,action,category\n17850,85123A,5,purchase,10\nanna,7,6,1,\n"
JSON = (
    '{"user": 17850, "item": "85123A", "event_time_ms": 5, "action": "purchase", "category": 10}\n'
    '{"user": "anna", "item": 7, "event_time_ms": 6, "action": 1}\n'
)


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def texts(rows: Rows) -> list[list[str]]:
    return [
        [str(value) for value in column] for column in (rows.user, rows.item, rows.time_ms, rows.action, rows.category)
    ]


EXPECTED = [["17850", "anna"], ["85123A", "7"], ["5", "6"], ["purchase", "1"], ["10", "None"]]


@pytest.mark.parametrize(("name", "text"), [("a.csv", CSV), ("a.jsonl", JSON)])
def test_text_files_give_the_normal_form(tmp_path: Path, name: str, text: str) -> None:
    path = write(tmp_path, name, text)
    (rows,) = read_rows(path)
    assert texts(rows) == EXPECTED
    assert rows.action == ["purchase", 1]
    assert count_rows(path) == 2


def test_parquet_is_read_in_batches_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BATCH_ROWS", 10)
    path = tmp_path / "a.parquet"
    numbers = list(range(1, 36))
    columns = {"user": numbers, "item": numbers, "event_time_ms": numbers, "action": ["click"] * 35, "extra": numbers}
    pq.write_table(pa.table(columns), path)
    batches = list(read_rows(path))
    assert [len(batch.user) for batch in batches] == [10, 10, 10, 5]
    assert [user for batch in batches for user in batch.user] == numbers
    assert count_rows(path) == 35


def test_event_ids_are_text(tmp_path: Path) -> None:
    line = '{"user": 1, "item": 2, "event_time_ms": 3, "action": 1, "event_id": 77}\n'
    (rows,) = read_rows(write(tmp_path, "a.jsonl", line))
    assert rows.event_id == ["77"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", "files ending in .parquet, .csv, .jsonl"),
        ("a.csv", "user,item\n1,2\n", "missing: event_time_ms, action"),
        ("a.csv", CSV + "1,2,soon,1,\n", "row 3, column event_time_ms: 'soon'"),
        ("a.csv", CSV + ",2,3,1,\n", "row 3, column user: ''"),
        ("a.jsonl", JSON + "{oops\n", "row 3: not JSON"),
        ("a.jsonl", "[1]\n", "row 1: list, expected an object"),
        ("a.jsonl", '{"user": 1.5, "item": 2, "event_time_ms": 3, "action": 1}\n', "row 1, column user: 1.5"),
        ("a.jsonl", '{"user": 1, "item": 2, "event_time_ms": null, "action": 1}\n', "column event_time_ms: None"),
        ("a.parquet", "not parquet", "not a readable parquet file"),
    ],
)
def test_bad_files_are_told_by_row_and_column(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(SourceError) as caught:
        list(read_rows(path))
    assert said in str(caught.value)
    assert name in str(caught.value)
