"""One byte of one file is wrong, or a file is gone: what opens is exact, or says that it is damaged.

Every file of a store is hit at many places: tables in three levels of age, a write-ahead log, the list of files. Then
everything is read, on every path. A table or its index that is wrong is an error; a write-ahead log or the list of
files may also leave an older, exact prefix. Different data, or a shorter history, is never the outcome.
"""

import logging
import random
import shutil
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from muse_stream.state.budget import StoreBudget
from muse_stream.state.errors import DamagedStoreError, StateError
from muse_stream.state.item_chunks import ItemBatch
from muse_stream.state.items import ItemStore
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, hashed_log
from tests.state.prefixes import BATCHES, ROWS, RULES, check, write

FLIPS_CI, FLIPS = 60, 1_500
END = (BATCHES * ROWS, BATCHES)


def cold() -> StoreBudget:
    """A cache of its own: copies of one file share what is cached of it."""
    return StoreBudget(block_cache_bytes=1 << 20, write_buffer_bytes=8 << 20)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage")
    with closing(BehaviourStore.open(path / "store", IDENTITY, RULES, budget=cold())) as store:
        for batch in range(BATCHES):
            if batch in {30, 60, 75}:
                store._database.db.flush()
            if batch == 40:
                store._database.db.compact_range(None, None)
            write(store, batch)
        shutil.copytree(path / "store", path / "image")
    return path / "image"


def outcome(path: Path) -> str:
    """Open and read everything: "whole", "prefix" or the error's name; fails on anything that is not exact."""
    try:
        with closing(BehaviourStore.open(path, IDENTITY, RULES, budget=cold())) as store:
            check(store)
            return "whole" if (store.position, store.users_position) == END else "prefix"
    except StateError as error:
        return type(error).__name__ if "Operator action:" in str(error) else "no advice"


def flipped(image: Path, kind: str, at: Path, flips: int) -> Counter[str]:
    """Outcomes of one flipped bit each, spread over the files that match."""
    dice = random.Random(kind)
    files = [file for file in sorted(image.glob(kind)) if file.stat().st_size]
    found: Counter[str] = Counter()
    for turn in range(flips):
        file = files[turn % len(files)]
        data = bytearray(file.read_bytes())
        # The last bytes are a table's footer, without which nothing else is found.
        place = dice.randrange(len(data)) if turn % 10 else len(data) - 1 - dice.randrange(min(60, len(data)))
        data[place] ^= 1 << dice.randrange(8)
        shutil.rmtree(at, ignore_errors=True)
        shutil.copytree(image, at)
        (at / file.name).write_bytes(data)
        found[outcome(at)] += 1
    return found


KINDS = ["*.sst", "*.log", "MANIFEST-*", "CURRENT", "OPTIONS-*"]


def check_flips(image: Path, kind: str, at: Path, flips: int) -> None:
    found = flipped(image, kind, at, flips)
    logging.getLogger(__name__).info("%s: %s", kind, dict(found))
    assert set(found) <= {"whole", "prefix", "DamagedStoreError"}
    if kind == "*.sst":
        assert set(found) <= {"whole", "DamagedStoreError"}
        assert found["DamagedStoreError"] > flips // 2
    if kind == "*.log":
        assert set(found) <= {"whole", "prefix"}
        assert found["prefix"] > flips // 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_changes_no_answer(image: Path, kind: str, tmp_path: Path) -> None:
    check_flips(image, kind, tmp_path / "store", FLIPS_CI)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_many_flipped_bits_change_no_answer(image: Path, kind: str, tmp_path: Path) -> None:
    check_flips(image, kind, tmp_path / "store", FLIPS)


@pytest.mark.parametrize("loss", ["deleted", "empty", "half"])
def test_a_table_that_is_not_whole_is_an_error(image: Path, tmp_path: Path, loss: str) -> None:
    tables = sorted(image.glob("*.sst"))
    assert len(tables) >= 3
    for table in tables:
        at = tmp_path / table.stem
        shutil.copytree(image, at)
        if loss == "deleted":
            (at / table.name).unlink()
        else:
            (at / table.name).write_bytes(table.read_bytes()[: table.stat().st_size // 2 if loss == "half" else 0])
        assert outcome(at) == "DamagedStoreError"


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST-*"])
def test_a_lost_list_of_files_is_an_error(image: Path, tmp_path: Path, name: str) -> None:
    at = shutil.copytree(image, tmp_path / "store")
    for file in at.glob(name):
        file.unlink()
    before = {file.name: file.stat().st_size for file in at.iterdir()}
    assert outcome(at) == "DamagedStoreError"
    after = {file.name: file.stat().st_size for file in at.iterdir()}
    assert before.items() <= after.items(), "a store whose list is lost was begun anew"


def test_without_its_write_ahead_log_a_store_is_what_its_tables_say(image: Path, tmp_path: Path) -> None:
    at = shutil.copytree(image, tmp_path / "store")
    for file in at.glob("*.log"):
        file.unlink()
    with closing(BehaviourStore.open(at, IDENTITY, RULES, budget=cold())) as store:
        assert (store.position, store.users_position) == (75 * ROWS, 75)
        check(store)


def test_damage_that_comes_while_it_is_open_is_an_error_for_who_reads_it(tmp_path: Path) -> None:
    with closing(BehaviourStore.open(tmp_path, IDENTITY, RULES)) as store:
        for begin in range(0, 60_000, 2_000):
            store.append(hashed_log(begin, begin + 2_000, 3_000), position=begin + 2_000)
        store._database.db.flush()
    with closing(BehaviourStore.open(tmp_path, IDENTITY, RULES, budget=cold())) as store:
        for table in tmp_path.glob("*.sst"):
            size = table.stat().st_size
            with table.open("r+b") as file:
                file.write(bytes(size))
        with store.moment() as moment, pytest.raises(DamagedStoreError, match="Operator action"):
            moment.sequence(1_500)


def items(begin: int, end: int) -> ItemBatch:
    item = np.arange(begin, end)
    vectors = {"v1": (np.arange(end - begin), (item[:, None] * np.arange(1, 9) % 127).astype(np.int8))}
    titles: list[str | None] = [f"item {number}" for number in item]
    none = np.zeros(end - begin, np.bool_)
    return ItemBatch(item, item * 3, item[:, None] * 7, ("brand",), titles, none, vectors)


def everything_of(path: Path) -> list[bytes]:
    with closing(ItemStore.open(path, IDENTITY, budget=cold())) as store:
        found = [b"%d" % store.position, "".join(map(str, store.titles(np.arange(2_000)))).encode()]
        for batch in store.load():
            rows, vectors = batch.vectors["v1"]
            columns = [batch.item, batch.category, batch.features, rows, vectors]
            found += [np.ascontiguousarray(column).tobytes() for column in columns]
        return found


def test_a_flipped_bit_of_an_item_store_changes_no_item(tmp_path: Path) -> None:
    image, at = tmp_path / "image", tmp_path / "store"
    with closing(ItemStore.open(image, IDENTITY, budget=cold())) as store:
        for begin in range(0, 2_000, 100):
            store.append(items(begin, begin + 100), position=begin + 100)
        store._database.db.flush()
    whole = everything_of(shutil.copytree(image, tmp_path / "whole"))
    dice, errors = random.Random(3), 0
    (table,) = image.glob("*.sst")
    for _ in range(FLIPS_CI):
        data = bytearray(table.read_bytes())
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        shutil.rmtree(at, ignore_errors=True)
        shutil.copytree(image, at)
        (at / table.name).write_bytes(data)
        try:
            assert everything_of(at) == whole
        except DamagedStoreError:
            errors += 1
    assert errors > FLIPS_CI // 2
