from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from muse_stream.gsu_engine.index import ItemIndex
from muse_stream.gsu_engine.quantise import quantise
from muse_stream.gsu_engine.table import VectorTable
from muse_stream.state.items import ItemStore
from muse_stream.state.rules import StoreIdentity
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.item_feed import ItemFeed
from muse_stream.streams.ingest.items import ItemReader
from muse_stream.streams.ingest.status import Phase
from muse_stream.streams.wire.encode import encode_item
from muse_stream.streams.wire.items import ItemRules, decode_items
from tests.streams.ingest.fakes import BUDGET, ITEMS, FakeAsks, FakeLog, FakeReader, FakeSink
from tests.streams.ingest.test_service import until

WIDTH = 64
SPACES: Mapping[str, int] = {"v1": WIDTH, "v2": WIDTH}


def ids(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def vector(number: int) -> NDArray[np.int8]:
    return np.full(WIDTH, number, np.int8)


class Shop:
    """An item reader over an in-memory log, with real store, tables and catalogue."""

    def __init__(self, directory: Path, log: FakeLog, *, emits: bool = True) -> None:
        self.log, self.sink, self.reader, self.emits = log, FakeSink(), FakeReader(log), emits
        self.store = ItemStore.open(directory / "items", StoreIdentity("test-cluster", ITEMS, 0, 1), budget=BUDGET)
        self.index = ItemIndex(max_items=10_000)
        self.tables = {
            space: VectorTable(space, width, self.index, budget_bytes=1 << 20) for space, width in SPACES.items()
        }
        self.catalogue = Catalogue(self.index, ("brand",))
        rules = ItemRules(spaces=SPACES, quantise=quantise, features=("brand",))
        self.feed = ItemFeed(self.store, self.tables, self.catalogue, partial(decode_items, rules=rules))
        self.items = ItemReader(
            ITEMS, self.feed, lambda: self.reader, self.sink, emits=lambda: self.emits, asks=FakeAsks(log)
        )

    def start(self) -> "Shop":
        self.items.start()
        until(lambda: self.items.state().phase in (Phase.READY, Phase.FAILED))
        return self

    def stop(self) -> None:
        self.items.stop()
        self.store.close()

    def vectors(self, space: str, *items: int) -> list[int]:
        return [int(row[0]) for row in self.tables[space].lookup(ids(*items))[0]]


def say(
    log: FakeLog, item: int, *, category: int = 0, brand: int = 0, at: int | None = None, space: str = "v1"
) -> None:
    key, value = encode_item(
        item,
        category=category or None,
        features={"brand": brand} if brand else {},
        title=f"item {item}",
        vector=None if at is None else vector(at),
        space=space,
    )
    log.add((ITEMS, 0), key, value)


@pytest.fixture
def log() -> FakeLog:
    log = FakeLog()
    for item in range(1, 6):
        say(log, item, category=item * 10, brand=item * 100, at=item)
    return log


@pytest.fixture
def shop(tmp_path: Path, log: FakeLog) -> Iterator[Shop]:
    shop = Shop(tmp_path, log).start()
    yield shop
    shop.stop()


def test_everything_that_the_log_held_is_in_tables_and_catalogue_when_ready(shop: Shop) -> None:
    assert shop.items.version == 5
    assert shop.vectors("v1", 1, 5, 6) == [1, 5, 0]
    assert shop.catalogue.features_of(ids(2, 6)).tolist() == [[2, 20, 200], [6, 0, 0]]
    assert shop.items.titles(ids(3, 9)) == ["item 3", None]
    with shop.items.moment() as version:
        assert version == 5


def test_a_later_record_replaces_the_item_whole(shop: Shop) -> None:
    say(shop.log, 1, category=11, at=50)
    say(shop.log, 2, category=22)
    say(shop.log, 3, at=7, space="v2")
    shop.log.add((ITEMS, 0), b"4", None)
    until(lambda: shop.items.version == 9)
    assert shop.vectors("v1", 1, 2, 3, 4, 5) == [50, 0, 0, 0, 5]
    assert shop.vectors("v2", 1, 3) == [0, 7]
    assert shop.catalogue.features_of(ids(1, 2, 3, 4)).tolist() == [[1, 11, 0], [2, 22, 0], [3, 0, 0], [4, 0, 0]]


def test_the_last_of_several_records_in_one_batch_counts(tmp_path: Path) -> None:
    log = FakeLog()
    say(log, 1, at=1)
    say(log, 1, at=2)
    say(log, 2, at=3)
    log.add((ITEMS, 0), b"2", None)
    log.add((ITEMS, 0), b"3", None)
    say(log, 3, at=4)
    say(log, 4, at=5)
    say(log, 4)
    shop = Shop(tmp_path, log).start()
    assert shop.vectors("v1", 1, 2, 3, 4) == [2, 0, 4, 0]
    shop.stop()


def test_a_restart_loads_the_store_and_reads_only_the_difference(tmp_path: Path, log: FakeLog) -> None:
    Shop(tmp_path, log).start().stop()
    say(log, 1, category=1, at=99)
    shop = Shop(tmp_path, log)
    shop.start()
    assert shop.reader.assigned[-1][ITEMS, 0] == 5
    assert shop.items.version == 6
    assert shop.vectors("v1", 1, 2, 5) == [99, 2, 5]
    assert shop.catalogue.features_of(ids(1, 5)).tolist() == [[1, 1, 0], [5, 50, 500]]
    shop.stop()


def test_rejects_are_lettered_by_the_one_that_emits_and_neighbours_are_kept(tmp_path: Path, log: FakeLog) -> None:
    key, _ = encode_item(8)
    log.add((ITEMS, 0), key, b'{"space": "nowhere", "vector": [1]}')
    say(log, 9, at=9)
    silent, loud = Shop(tmp_path / "a", log, emits=False).start(), Shop(tmp_path / "b", log).start()
    for shop in (silent, loud):
        assert shop.vectors("v1", 8, 9) == [0, 9]
    assert silent.sink.letters == []
    assert [letter.offset for letter in loud.sink.letters] == [5]
    loud.stop()
    assert log.commits[ITEMS, 0] == 7
    silent.emits = True
    say(log, 10, at=10)
    until(lambda: silent.items.version == 8)
    assert silent.sink.letters == []
    silent.stop()


def test_who_begins_to_emit_letters_what_the_one_before_did_not(tmp_path: Path, log: FakeLog) -> None:
    log.commits[ITEMS, 0] = 5
    log.add((ITEMS, 0), b"1", b"not json")
    shop = Shop(tmp_path, log, emits=False).start()
    assert shop.items.version == 6
    shop.emits = True
    until(lambda: [letter.offset for letter in shop.sink.letters] == [5])
    shop.stop()


def test_tables_stand_still_while_a_moment_is_held(shop: Shop) -> None:
    with shop.items.moment() as version:
        say(shop.log, 1, at=77)
        until(lambda: shop.store.position == 6)
        assert (version, shop.items.version) == (5, 5)
        assert shop.vectors("v1", 1) == [1]
    until(lambda: shop.items.version == 6)
    assert shop.vectors("v1", 1) == [77]


def test_a_log_that_is_not_the_stores_stops_the_reader(tmp_path: Path, log: FakeLog) -> None:
    Shop(tmp_path, log).start().stop()
    log.rows.clear()
    shop = Shop(tmp_path, log).start()
    assert shop.items.state().phase is Phase.FAILED
    assert "ends at 0" in str(shop.items.state().error)
    assert shop.items.health().alive
    shop.stop()
