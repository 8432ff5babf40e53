"""Opening a store for reading beside the process that writes it: all rows up to the position, or none of them."""

from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from muse_stream.state import database
from muse_stream.state.errors import DamagedStoreError
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, plain_batch

ROWS = 7


def make(path: Path) -> BehaviourStore:
    store = BehaviourStore.open(path, IDENTITY, Rules())
    store.append(plain_batch([1] * ROWS), position=ROWS)
    return store


def test_a_flush_while_the_files_are_opened_makes_it_open_again(tmp_path: Path) -> None:
    opened, opens = database._open, []
    with closing(make(tmp_path)) as store:

        def slowly(*given: object) -> object:
            found = opened(*given)  # type: ignore[arg-type]
            opens.append(found)
            if len(opens) == 1:
                store._database.db.flush()
            return found

        with mock.patch.object(database, "_open", slowly), mock.patch.object(database, "_OPENING_PAUSE_SECONDS", 0):
            reader = StoreReader.open(tmp_path)
        with closing(reader):
            assert len(opens) == 2
            assert (reader.position, len(reader.sequence(1))) == (ROWS, ROWS)


def test_files_that_never_stand_still_are_told(tmp_path: Path) -> None:
    make(tmp_path).close()
    with (
        mock.patch.object(database, "row_files", side_effect=({("1.log", count)} for count in range(1_000))),
        mock.patch.object(database, "_OPENING_PAUSE_SECONDS", 0),
        pytest.raises(DamagedStoreError, match="its files changed during each of 20 openings"),
    ):
        StoreReader.open(tmp_path)


def test_a_file_that_went_while_it_was_opened_is_no_damage(tmp_path: Path) -> None:
    opened, opens = database._open, []
    seen = [{("1.log", 0)}, {("2.log", 0)}, set(), set()]
    make(tmp_path).close()

    def fails_first(*given: object) -> object:
        opens.append(given)
        if len(opens) == 1:
            raise DamagedStoreError(tmp_path, "a file went.", "none.")
        return opened(*given)  # type: ignore[arg-type]

    with (
        mock.patch.object(database, "_open", fails_first),
        mock.patch.object(database, "row_files", side_effect=seen),
        mock.patch.object(database, "_OPENING_PAUSE_SECONDS", 0),
    ):
        StoreReader.open(tmp_path).close()
    assert len(opens) == 2
