"""The item store against a plain dictionary: latest row wins, whatever is merged, compacted, replayed or reopened."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_stream.state import items as items_module
from muse_stream.state.errors import BatchError, IdentityError, StoreClosedError
from muse_stream.state.item_chunks import ItemBatch, concatenate, pack, unpack
from muse_stream.state.items import ItemStore
from muse_stream.state.rules import StoreIdentity
from tests.state.logs import thorough

LOG = StoreIdentity("cluster-one", "items", 0, 1)

Record = dict[str, Any]
Known = dict[int, Record]

records = st.lists(
    st.fixed_dictionaries(
        {
            "item": st.sampled_from([-(2**63), -3, 1, 2, 3, 4, 2**63 - 1]),
            "category": st.integers(0, 9),
            "features": st.dictionaries(st.sampled_from(["brand", "price"]), st.integers(1, 9)),
            "title": st.sampled_from([None, "LAMP", "Ünïcode 灯"]),
            "forget": st.sampled_from([False] * 5 + [True]),
            "vectors": st.dictionaries(st.sampled_from(["v1", "v2"]), st.integers(-128, 127)),
        }
    ),
    max_size=60,
)


def batch_of(rows: list[Record], names: tuple[str, ...] = ("brand", "price")) -> ItemBatch:
    vectors = {}
    for space, dimension in (("v1", 4), ("v2", 3)):
        held = [place for place, row in enumerate(rows) if space in row["vectors"] and not row["forget"]]
        if held:
            values = [[rows[place]["vectors"][space]] * dimension for place in held]
            vectors[space] = np.array(held, np.int64), np.array(values, np.int8)
    return ItemBatch(
        item=np.array([row["item"] for row in rows], np.int64),
        category=np.array([row["category"] for row in rows], np.int64),
        features=np.array([[row["features"].get(name, 0) for name in names] for row in rows], np.int64).reshape(
            len(rows), len(names)
        ),
        feature_names=names,
        title=[row["title"] for row in rows],
        forget=np.array([row["forget"] for row in rows], np.bool_),
        vectors=vectors,
    )


def item(number: int, **more: Any) -> Record:
    return {"item": number, "category": 0, "features": {}, "title": None, "forget": False, "vectors": {}, **more}


def read(batches: Any) -> Known:
    known: Known = {}
    for batch in batches:
        places = {}
        for space, (rows, values) in batch.vectors.items():
            places[space] = dict(zip(rows.tolist(), values.tolist(), strict=True))
        for row, number in enumerate(batch.item.tolist()):
            assert number not in known
            assert not batch.forget[row]
            named = zip(batch.feature_names, batch.features[row].tolist(), strict=True)
            known[number] = {
                "category": int(batch.category[row]),
                "features": {name: value for name, value in named if value},
                "vectors": {space: held[row][0] for space, held in places.items() if row in held},
            }
    return known


def apply(rows: list[Record], known: Known, titles: dict[int, str | None]) -> None:
    for row in rows:
        known.pop(row["item"], None)
        titles[row["item"]] = None if row["forget"] else row["title"]
        if not row["forget"]:
            known[row["item"]] = {name: row[name] for name in ("category", "features", "vectors")}


def small_chunks(rows: int, opened: int) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(mock.patch.object(items_module, "CHUNK_ROWS", rows))
    stack.enter_context(mock.patch.object(items_module, "OPEN_CHUNKS", opened))
    return stack


@thorough
@given(st.data(), records, st.integers(1, 20), st.integers(1, 5))
def test_loading_gives_the_last_row_of_each_item(
    data: st.DataObject, log: list[Record], chunk_rows: int, open_chunks: int
) -> None:
    known: Known = {}
    titles: dict[int, str | None] = {}
    with tempfile.TemporaryDirectory() as path, small_chunks(chunk_rows, open_chunks):
        store = ItemStore.open(Path(path), LOG)
        while store.position < len(log):
            begin = data.draw(st.integers(0, store.position), label="replayed from")
            end = data.draw(st.integers(store.position + 1, len(log)), label="to")
            apply(log[store.position : end], known, titles)
            names = data.draw(st.sampled_from([("brand", "price"), ("price", "brand")]), label="columns")
            store.append(batch_of(log[begin:end], names), position=end)
            assert read(store.load()) == known
            assert store.titles(np.array(list(titles), np.int64)) == list(titles.values())
            if data.draw(st.booleans(), label="reopen"):
                store.close()
                store = ItemStore.open(Path(path), LOG)
                assert read(store.load()) == known
        store.close()


@thorough
@given(records)
def test_a_packed_batch_unpacks_equal(rows: list[Record]) -> None:
    batch = batch_of(rows)
    again = unpack(*pack(batch))
    assert (again.feature_names, again.title) == (batch.feature_names, [])
    for name in ("item", "category", "features", "forget"):
        assert np.array_equal(getattr(again, name), getattr(batch, name))
    assert list(again.vectors) == list(batch.vectors)
    for space, (places, values) in batch.vectors.items():
        assert np.array_equal(again.vectors[space][0], places)
        assert np.array_equal(again.vectors[space][1], values)
    assert all(getattr(again, name).flags.aligned for name in ("item", "category", "features"))


def test_batches_with_other_features_come_together_by_name() -> None:
    one = batch_of([item(1, features={"brand": 7})], ("brand",))
    other = batch_of([item(2, features={"price": 8, "brand": 9})], ("price", "brand"))
    both = concatenate([one, other])
    assert both.feature_names == ("brand", "price")
    assert both.features.tolist() == [[7, 0], [9, 8]]


def test_the_log_of_an_item_that_keeps_changing_stays_short(tmp_path: Path) -> None:
    with small_chunks(64, 8):
        store = ItemStore.open(tmp_path, LOG)
        for position in range(1, 1001):
            store.append(batch_of([item(position % 3, category=position)]), position=position)
            assert store.stats().rows <= 2 * (3 + 64) + 64
        assert read(store.load())[1]["category"] == 1000
        store.close()


def test_rows_at_or_below_the_position_change_nothing(tmp_path: Path) -> None:
    store = ItemStore.open(tmp_path, LOG)
    store.append(batch_of([item(1, category=5)]), position=7)
    store.append(batch_of([item(1, category=6)]), position=7)
    assert (store.position, read(store.load())[1]["category"]) == (7, 5)
    store.append(batch_of([]), position=9)
    assert store.position == 9
    store.close()


def test_a_load_sees_one_moment(tmp_path: Path) -> None:
    with small_chunks(4, 4):
        store = ItemStore.open(tmp_path, LOG)
        for position in range(1, 9):
            store.append(batch_of([item(position)]), position=position)
        load = store.load()
        first = next(load)
        for position in range(9, 60):
            store.append(batch_of([item(position % 8 + 1, category=9)]), position=position)
        known = read([first, *load])
        assert sorted(known) == list(range(1, 9))
        assert all(row["category"] == 0 for row in known.values())
        store.close()


def test_closing_ends_a_load_and_frees_the_directory(tmp_path: Path) -> None:
    with small_chunks(2, 2):
        store = ItemStore.open(tmp_path, LOG)
        for position in range(1, 9):
            store.append(batch_of([item(position)]), position=position)
        load = store.load()
        next(load)
        store.close()
        with pytest.raises(StoreClosedError):
            next(load)
        ItemStore.open(tmp_path, LOG).close()


def test_another_log_is_refused(tmp_path: Path) -> None:
    ItemStore.open(tmp_path, LOG).close()
    with pytest.raises(IdentityError, match="items-two"):
        ItemStore.open(tmp_path, StoreIdentity("cluster-one", "items-two", 0, 1))


def test_contradicting_columns_are_refused(tmp_path: Path) -> None:
    store = ItemStore.open(tmp_path, LOG)
    good = batch_of([item(1, vectors={"v1": 3})])
    for name, wrong in (
        ("category", np.zeros(2, np.int64)),
        ("title", ["one", "two"]),
        ("vectors", {"v1": (np.array([1]), np.zeros((1, 4), np.int8))}),
        ("vectors", {"v1": (np.array([0]), np.zeros((1, 4), np.float32))}),
    ):
        columns = {each: getattr(good, each) for each in ItemBatch.__dataclass_fields__}
        with pytest.raises(BatchError):
            store.append(ItemBatch(**{**columns, name: wrong}), position=1)
    assert store.position == 0
    store.close()


@pytest.mark.parametrize("writes", range(1, 5))
def test_a_compaction_that_dies_between_two_writes_loses_nothing(tmp_path: Path, writes: int) -> None:
    """The store is dropped as a killed process drops it: after the given number of writes of one append."""
    rows = [item(position**2 % 53, category=position, vectors={"v1": position}) for position in range(100)]
    rows[80] = item(4, forget=True)
    known: Known = {}
    apply(rows, known, {})
    with small_chunks(8, 3):
        store = ItemStore.open(tmp_path, LOG)
        for position in range(1, 100):
            with mock.patch.object(store, "_compact"):
                store.append(batch_of([rows[position - 1]]), position=position)
        real, made = store._write, list[Any]()

        def dying(*batch_and_progress: Any) -> None:
            if len(made) == writes:
                raise SystemExit
            made.append(batch_and_progress)
            real(*batch_and_progress)

        with mock.patch.object(store, "_write", dying), pytest.raises(SystemExit):
            store.append(batch_of([rows[99]]), position=100)
        store.close()
        store = ItemStore.open(tmp_path, LOG)
        assert (store.position, read(store.load())) == (100, known)
        for position in range(101, 140):
            store.append(batch_of([rows[0]]), position=position)
        apply([rows[0]], known, {})
        assert read(store.load()) == known
        store.close()
