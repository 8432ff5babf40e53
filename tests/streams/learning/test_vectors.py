from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.vectors import Purchases, SclConfig
from muse_stream.gsu_engine.quantise import quantise
from muse_stream.streams.learning import items_file
from muse_stream.streams.learning.items_file import Items, read_items, read_purchases
from muse_stream.streams.learning.vectors import KINDS, Kind, make, moment_of, records, task_of, write
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.items import ItemRules, decode_items

HOUR_MS = 3_600_000
COUNT = 30
SMALL = SclConfig(dimension=64, hidden=16, epochs=2, batch=32, queue=32)


def shop(seed: int = 1, baskets: int = 40) -> tuple[Items, Purchases]:
    generator = np.random.default_rng(seed)
    items = Items(
        name="shop",
        key=[f"code-{row}" for row in range(COUNT)],
        item=np.arange(101, 101 + COUNT),
        title=[f"{'red' if row % 2 else 'blue'} thing {row}" for row in range(COUNT)],
        dense=None,
        category=[row % 2 + 1 for row in range(COUNT)],
        features={"price_band": [None if row == 3 else 7 for row in range(COUNT)]},
    )
    row = np.concatenate([generator.choice(COUNT // 2, 4, replace=False) * 2 + number % 2 for number in range(baskets)])
    moment = np.repeat(np.arange(baskets), 4)
    return items, Purchases(moment + 1, row, 1_000 + moment * HOUR_MS)


def file(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_bought_later_changes_no_vector(kind: Kind) -> None:
    items, purchases = shop()
    until_ms = moment_of(purchases)
    before, later = purchases.cut(until_ms)
    assert 0 < len(later) < len(before)
    other = np.random.default_rng(7).integers(0, COUNT, len(later))
    planted = Purchases(
        np.concatenate([before.user, later.user]),
        np.concatenate([before.row, other]),
        np.concatenate([before.time_ms, later.time_ms]),
    )
    assert not np.array_equal(planted.row, purchases.row)
    first, second = (make(task_of(items, each, until_ms), kind, SMALL) for each in (purchases, planted))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (COUNT, 64)
    assert first.dtype == np.int8


def test_an_earlier_purchase_does_change_them() -> None:
    items, purchases = shop()
    until_ms = moment_of(purchases)
    other = Purchases(purchases.user, purchases.row[::-1].copy(), purchases.time_ms)
    first, second = (make(task_of(items, each, until_ms), "scl", SMALL) for each in (purchases, other))
    assert not np.array_equal(first, second)


def test_the_moment_has_its_share_before_it() -> None:
    _, purchases = shop()
    before, _ = purchases.cut(moment_of(purchases, 0.75))
    assert len(before) == 0.75 * len(purchases)
    with pytest.raises(DataError, match="no purchases to learn from"):
        moment_of(purchases.cut(0)[0])


def test_too_few_later_purchases_leave_nothing_to_judge_by() -> None:
    items, purchases = shop()
    assert task_of(items, purchases, int(purchases.time_ms.max())).judge is None


def test_a_file_has_the_items_with_a_vector_and_nothing_else(tmp_path: Path) -> None:
    items, _ = shop()
    vectors = quantise(np.random.default_rng(1).standard_normal((COUNT, 8)))
    vectors[5] = 0
    path = tmp_path / "vectors.parquet"
    assert write(path, items, vectors, note={"kind": "scl"}) == COUNT - 1
    table = pq.read_table(path)
    assert table["item"].to_pylist() == [item for item in items.item.tolist() if item != 106]
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist()), np.delete(vectors, 5, axis=0))
    assert table.schema.field("vector").type.list_size == 8
    assert table.schema.metadata[b"kind"] == b"scl"
    assert [found.name for found in tmp_path.iterdir()] == ["vectors.parquet"]


def test_records_keep_what_is_known_of_an_item() -> None:
    items, _ = shop()
    vectors = quantise(np.random.default_rng(1).standard_normal((COUNT, 64)))
    vectors[5] = 0
    sent = records(items, vectors, "scl")
    batch, rejected = decode(sent.keys, sent.values, {"scl": 64})
    assert rejected == []
    assert batch.title == items.title
    assert batch.category.tolist() == items.category
    assert batch.features[:, 0].tolist() == [0 if row == 3 else 7 for row in range(COUNT)]
    rows, values = batch.vectors["scl"]
    assert rows.tolist() == [row for row in range(COUNT) if row != 5]
    np.testing.assert_array_equal(values, np.delete(vectors, 5, axis=0))


def decode(keys: Sequence[bytes], values: Sequence[bytes], spaces: dict[str, int]) -> Any:
    count = len(keys)
    zeros = np.zeros(count, np.int64)
    batch = RecordBatch("items", 0, [*keys], [*values], [None] * count, np.arange(count), zeros, count)
    return decode_items(batch, ItemRules(spaces=spaces, quantise=quantise, features=("price_band",)))


def test_items_and_purchases_are_read_from_files(tmp_path: Path) -> None:
    columns = {"item": ["7", "A1"], "title": ["white heart", None], "brand": [4, None], "category": [1, 2]}
    items = read_items(file(tmp_path / "items.parquet", **columns))
    assert items.item[0] == 7
    assert items.title == ["white heart", ""]
    assert items.features == {"brand": [4, None]}
    log = tmp_path / "log.csv"
    log.write_text("user,item,event_time_ms,action\n5,A1,10,purchase\n5,7,20,click\n6,7,30,4\n", encoding="utf-8")
    purchases = read_purchases(log, items)
    assert purchases.user.tolist() == [5, 6]
    assert purchases.row.tolist() == [1, 0]
    assert purchases.time_ms.tolist() == [10, 30]


def test_dense_features_are_taken_before_titles(tmp_path: Path) -> None:
    path = file(tmp_path / "items.parquet", item=[7, 8], title=["a", "b"], feature=[[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(read_items(path).inputs(), np.array([[1, 2], [3, 4]], np.float32))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"item": [1, 2]}, "expected item, and title .* or feature"),
        ({"item": [1, 2, 1], "title": ["a"] * 3}, "column item, row 2: item 1 was already in row 0"),
        ({"item": [1, 0], "title": ["a"] * 2}, "column item, row 1: 0 means missing"),
        ({"item": [1.5, 2.0], "title": ["a"] * 2}, "column item, row 0: 1.5 is no id"),
        ({"item": ["a", ""], "title": ["a"] * 2}, "column item, row 1: an id is empty text"),
        ({"item": [1, 2], "title": [3, 4]}, "column title: holds int64, expected text"),
        ({"item": [1, 2], "feature": [3.0, 4.0]}, "column feature: holds double, expected lists of floats"),
        ({"item": [1, 2], "feature": [[1.0], [1.0, 2.0]]}, "column feature, row 1: 2 numbers, row 0 has 1"),
        ({"item": [1, 2], "feature": [[1.0], None]}, "column feature, row 1: null"),
        ({"item": [1, 2], "feature": [[1.0], [None]]}, r"column feature, row 1 \(item 2\): value 0 is nan"),
        ({"item": [1, 2], "feature": [[1.0], [float("inf")]]}, r"column feature, row 1 \(item 2\): value 0 is inf"),
    ],
)
def test_bad_items_are_told_by_file_column_and_row(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    path = file(tmp_path / "items.parquet", **columns)
    with pytest.raises(DataError, match=said) as raised:
        read_items(path)
    assert "items.parquet" in str(raised.value)


def test_a_file_that_is_no_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    path.write_text("no", encoding="utf-8")
    with pytest.raises(DataError, match="not a readable parquet file"):
        read_items(path)


def test_an_unknown_item_among_the_purchases_is_told_by_row(tmp_path: Path) -> None:
    items = read_items(file(tmp_path / "items.parquet", item=[7], title=["a"]))
    log = tmp_path / "log.csv"
    log.write_text("user,item,event_time_ms,action\n5,7,10,purchase\n5,9,20,purchase\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 1: item 9 is not among the 1 items"):
        read_purchases(log, items)


def test_the_bundled_shop_is_there_whole() -> None:
    items = items_file.bundled_items()
    purchases = items_file.bundled_purchases(items)
    assert (len(items), len(purchases)) == (2_501, 31_301)
    assert set(items.features) == {"price_band"}
