"""Stores of layout behaviours/1, from a stored sample: converted in place, whatever interrupts it."""

import logging
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from rocksdict import Options, Rdict

from muse_stream.state import migration
from muse_stream.state.columns import BEHAVIOUR
from muse_stream.state.database import LAYOUT_KEY, Database
from muse_stream.state.errors import UnknownLayoutError
from muse_stream.state.moment import Moment, StoreReader
from muse_stream.state.rules import RuleChange, Rules
from muse_stream.state.store import BehaviourStore
from tests.state import sample
from tests.state.logs import dump, plain_batch

NOW = Rules(cap=600, duplicate_window=100)
FORMER = [RuleChange(offset, Rules(cap, window)) for offset, cap, window in sample.RULES]


class Killed(Exception):
    """The process ends here."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    shutil.copytree(sample.SAMPLE, tmp_path / "store")
    return tmp_path / "store"


def opened(path: Path, rules: Rules = NOW) -> BehaviourStore:
    return BehaviourStore.open(path, sample.IDENTITY, rules)


def check(store: Moment) -> None:
    expected = sample.Expected.load()
    assert (store.position, store.watermark_ms) == (expected.position, expected.watermark_ms)
    assert store.users_position == expected.users_position
    assert store.users().tolist() == expected.users.tolist()
    for place, user in enumerate(expected.users.tolist()):
        found, rows = store.sequence(user), expected.rows[expected.bounds[place] : expected.bounds[place + 1]]
        assert found.start == expected.starts[place]
        assert found.rows[list(rows.dtype.names or ())].tolist() == rows.tolist()
        assert set(found.rows["arrived_seconds"].tolist()) <= {expected.watermark_ms // 1_000}
    for user in sample.profiled():
        assert store.profile(user) == sample.profile(user)


def test_a_store_of_version_1_reads_as_it_did(path: Path) -> None:
    with closing(opened(path)) as store:
        assert store.rule_changes == FORMER
        with store.moment() as moment:
            check(moment)
    with closing(StoreReader.open(path)) as reader:
        assert (reader.undated_until, reader.rules, reader.identity) == (3_000, FORMER, sample.IDENTITY)
        check(reader)


def test_it_goes_on_where_it_was(path: Path) -> None:
    expected = sample.Expected.load()
    busy, offset = int(expected.users[0]), expected.position
    before = int(expected.starts[0] + expected.bounds[1])
    with closing(opened(path)) as store:
        for _ in range(4):
            done = store.append(plain_batch([busy] * 200, offset), position=offset + 200)
            offset += 200
        assert done.starts.tolist() == [before + 600]
        assert store.sequence(busy).rows["item"].tolist() == list(range(3_200, 3_800))


def test_killed_at_every_write_it_is_the_same_in_the_end(path: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(path, whole)
    opened(whole).close()
    writes = 0
    with mock.patch.object(migration, "BATCH_BYTES", 4_000):
        while killed_after(path, 1):
            writes += 1
            with pytest.raises(UnknownLayoutError, match="let a worker of this version open it once"):
                StoreReader.open(path)
        opened(path).close()
    assert writes > 10
    assert dump(path) == dump(whole)


@pytest.mark.parametrize("before", [0, 1, 2, 9])
def test_a_write_that_never_happened_is_made_again(path: Path, tmp_path: Path, before: int) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(path, whole)
    opened(whole).close()
    with mock.patch.object(migration, "BATCH_BYTES", 4_000):
        assert killed_after(path, before)
        opened(path).close()
    assert dump(path) == dump(whole)


def killed_after(path: Path, writes: int) -> bool:
    """Open a store; whether the process was killed after so many writes of the conversion, or at the next one."""
    made, write = 0, Database.write

    def counted(database: Database, out: Any) -> None:
        nonlocal made
        if made == writes:
            raise Killed
        write(database, out)
        made += 1

    with mock.patch.object(Database, "write", counted):
        try:
            opened(path).close()
        except Killed:
            return made == writes
    return False


def test_a_time_to_live_begins_with_the_conversion(path: Path) -> None:
    expected = sample.Expected.load()
    busy, arrived = int(expected.users[0]), expected.watermark_ms // 1_000
    with closing(opened(path, Rules(cap=600, duplicate_window=100, ttl_seconds=60))) as store:
        assert len(store.sequence(busy)) == expected.bounds[1]
        for place, seconds in enumerate((60, 61)):
            latest_ms = (arrived + seconds) * 1_000
            store.append(plain_batch([-5], 3_000 + place, broker_time_ms=latest_ms), position=3_001 + place)
            assert len(store.sequence(busy)) == (expected.bounds[1] if seconds == 60 else 0)


def test_a_reader_refuses_with_advice_and_changes_nothing(path: Path) -> None:
    with pytest.raises(UnknownLayoutError, match=r"'behaviours/1', expected 'behaviours/2'.*let a worker"):
        StoreReader.open(path)
    db = Rdict(str(path), Options(raw_mode=True))
    assert db[LAYOUT_KEY] == b"behaviours/1"
    db.close()


def test_short_conversions_say_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with mock.patch.object(migration, "BATCH_BYTES", 4_000):
        opened(path).close()
        assert not [record for record in caplog.records if record.name == migration.__name__]


def test_long_ones_say_how_far_they_are(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with (
        mock.patch.object(migration, "BATCH_BYTES", 4_000),
        mock.patch.object(migration, "SILENT_SECONDS", 0.0),
    ):
        opened(path).close()
    lines = [record.getMessage() for record in caplog.records if record.name == migration.__name__]
    assert len(lines) > 10
    assert "segments" in lines[0]
    assert "s left" in lines[0]
    assert lines[-1].endswith("done")


def test_a_caller_hears_of_each_step(path: Path) -> None:
    beats: list[int] = []
    with mock.patch.object(migration, "BATCH_BYTES", 4_000):
        BehaviourStore.open(path, sample.IDENTITY, NOW, beat=lambda: beats.append(1)).close()
    assert len(beats) > 10


def test_rows_get_one_arrival_and_keep_the_rest() -> None:
    rows = np.array([(1, 2, 3, -4), (5, -6, 255, 8)], migration.UNDATED)
    found = np.frombuffer(migration.dated(rows.tobytes(), 77), BEHAVIOUR)
    assert found.tolist() == [(1, 2, 3, -4, 77), (5, -6, 255, 8, 77)]
