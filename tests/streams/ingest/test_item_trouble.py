"""The item reader on a disk that refuses, and on a store that is damaged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from muse_stream.state.database import Database
from muse_stream.state.errors import DamagedStoreError, StoreDiskError, StoreWriteError
from muse_stream.streams.ingest import retry
from muse_stream.streams.ingest.status import Phase
from tests.streams.ingest.fakes import FakeLog
from tests.streams.ingest.test_items import Shop, ids, say
from tests.streams.ingest.test_service import until

REFUSED = StoreWriteError("No space left on device. Operator action: make space.")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.01)
    log = FakeLog()
    say(log, 1, at=1)
    shop = Shop(tmp_path, log).start()
    yield shop
    shop.stop()


def test_a_refused_write_is_tried_again_and_tables_follow(shop: Shop) -> None:
    with mock.patch.object(Database, "write", side_effect=REFUSED) as refused:
        say(shop.log, 1, at=2)
        shop.log.add(("items", 0), b"9", None)
        until(lambda: refused.call_count >= 3)
        assert shop.vectors("v1", 1) == [1]
        assert shop.items.version == 1
    until(lambda: shop.items.state().phase is Phase.READY and shop.items.version == 3)
    assert shop.vectors("v1", 1) == [2]
    assert shop.items.state().error is None
    assert shop.items.titles(ids(1)) == ["item 1"]


def test_while_its_directory_cannot_be_opened_it_says_so_and_goes_on_trying(shop: Shop) -> None:
    full = StoreDiskError(shop.store.path, "the disk refuses it.", "make space.")
    real = Database.write
    refused = {"writes": 1}

    def write(database: Database, out: Any) -> None:
        if refused["writes"]:
            refused["writes"] -= 1
            raise REFUSED
        real(database, out)

    with mock.patch.object(Database, "write", write), mock.patch.object(Database, "open", side_effect=full) as opening:
        say(shop.log, 1, at=2)
        until(lambda: opening.call_count >= 2)
        assert shop.items.state().phase is Phase.FAILED
        assert "make space" in (shop.items.state().error or "")
        assert shop.store.stats().disk_bytes == 0
    until(lambda: shop.items.state().phase is Phase.READY and shop.items.version == 2)
    assert shop.vectors("v1", 1) == [2]


def test_a_damaged_store_stops_the_reader_and_not_its_thread(tmp_path: Path) -> None:
    shop = Shop(tmp_path, FakeLog())
    broken = DamagedStoreError(shop.store.path, "a block is wrong.", "move the directory away.")
    with mock.patch.object(shop.store, "load", side_effect=broken):
        shop.start()
    assert shop.items.state().phase is Phase.FAILED
    assert "move the directory away" in (shop.items.state().error or "")
    assert shop.items.health().alive
    assert shop.items.version == 0
    shop.stop()


def test_rows_that_are_stored_count_though_dropping_old_ones_was_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path, FakeLog()).start()
    with (
        mock.patch.object(shop.store, "_compact", side_effect=REFUSED),
        mock.patch("muse_stream.state.items.CHUNK_ROWS", 1),
    ):
        for number in range(1, 9):
            say(shop.log, 1, at=number)
        until(lambda: shop.items.version == 8)
    assert shop.items.state().phase is Phase.READY
    shop.stop()
