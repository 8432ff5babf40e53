"""What stores do on a disk that is full or read-only; run by `test_full_disk.py` in a child with a small disk."""

import shutil
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from muse_stream.state.budget import StoreBudget
from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.errors import StoreDiskError, StoreOpenError, StoreWriteError
from muse_stream.state.item_chunks import ItemBatch
from muse_stream.state.items import ItemStore
from muse_stream.state.moment import StoreReader
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, hashed_log
from tests.state.model import Model, same
from tests.state.small_disk import Ballast, child, remount

RULES = Rules(cap=2_000, duplicate_window=300)
ROWS, USERS = 250, 60
SPARES = (0, 10_000, 30_000, 60_000, 90_000, 130_000, 200_000, 300_000)
"""Enough for nothing, for some records of the write-ahead log, for a flush, for a compaction."""
NONE = np.empty(0, np.int64)


def opened(path: Path, write_buffer_bytes: int = 100 << 10) -> BehaviourStore:
    budget = StoreBudget(block_cache_bytes=1 << 20, write_buffer_bytes=write_buffer_bytes)
    return BehaviourStore.open(path, IDENTITY, RULES, budget=budget)


def batch_at(begin: int) -> BehaviourBatch:
    return hashed_log(begin, begin + ROWS, USERS)


def advised(error: Exception) -> None:
    assert "Operator action: " in str(error), error


def refused(opening: Callable[[], object], text: str) -> None:
    with pytest.raises(StoreDiskError, match=text) as caught:
        opening()
    advised(caught.value)


def write_until_refused(store: BehaviourStore) -> StoreWriteError:
    while True:
        try:
            store.append(batch_at(store.position), position=store.position + ROWS)
        except StoreWriteError as error:
            return error


def check(store: BehaviourStore, model: Model) -> None:
    """Tails, window and rows are those of the log up to the store's position."""
    for begin in range(model.position, store.position, ROWS):
        model.feed(batch_at(begin), begin + ROWS)
    assert model.position == store.position
    with store.moment() as moment:
        for user in range(USERS):
            assert same(moment.sequence(user), model.sequence(user)), user


def reopened_with_space(path: Path, position: int) -> BehaviourStore:
    store = opened(path)
    assert store.position == position, "the disk does not hold what the store said"
    return store


def behaviours(disk: Path) -> None:
    """A full disk at every stage of a write, again and again: nothing is lost or doubled."""
    ballast, model = Ballast(disk), Model(RULES)
    store = opened(disk / "store")
    for spare in SPARES:
        ballast.leave(spare)
        advised(write_until_refused(store))
        position = store.position
        check(store, model)
        store.close()
        try:
            opened(disk / "store").close()
        except (StoreDiskError, StoreWriteError) as refused:
            advised(refused)
        ballast.remove()
        store = reopened_with_space(disk / "store", position)
        for _ in range(4):
            store.append(batch_at(store.position), position=store.position + ROWS)
        check(store, model)
    store.close()
    with closing(reopened_with_space(disk / "store", model.position)) as store:
        check(store, model)


def torn(disk: Path) -> None:
    """No space to put the torn end aside: nothing is changed until there is."""
    with closing(opened(disk / "store", 8 << 20)) as store:
        for _ in range(4):
            store.append(batch_at(store.position), position=store.position + ROWS)
        shutil.copytree(disk / "store", disk / "image")
    (journal,) = [file for file in (disk / "image").glob("*.log") if file.stat().st_size]
    with journal.open("ab") as file:
        file.write(b"\x05" * 100_000)
    ballast, size = Ballast(disk), journal.stat().st_size
    ballast.leave(0)
    refused(lambda: opened(disk / "image"), "No space left on device")
    assert journal.stat().st_size == size
    ballast.remove()
    with closing(opened(disk / "image")) as store:
        assert store.position == 4 * ROWS
        check(store, Model(RULES))
    assert (disk / "image" / f"{journal.name}.torn").stat().st_size == 100_000


def read_only(disk: Path) -> None:
    """A read-only file system: nothing opens (rocksdict writes a file even to read), and nothing is harmed."""
    with closing(opened(disk / "store")) as store:
        store.append(batch_at(0), position=ROWS)
    assert remount(disk, "ro")
    for name in ("store", "new"):
        refused(partial(opened, disk / name), "Read-only file system")
    refused(lambda: StoreReader.open(disk / "store"), "Read-only file system")
    assert remount(disk, "rw")
    with closing(opened(disk / "store")) as store:
        check(store, Model(RULES))


def checkpoint(disk: Path) -> None:
    """A checkpoint that finds no space harms nothing."""
    with closing(opened(disk / "store")) as store:
        for _ in range(4):
            store.append(batch_at(store.position), position=store.position + ROWS)
        ballast = Ballast(disk)
        ballast.leave(0)
        try:
            store.checkpoint(disk / "copy")
        except StoreWriteError as error:
            advised(error)
        ballast.remove()
        position = store.position
        check(store, Model(RULES))
    with closing(reopened_with_space(disk / "store", position)) as store:
        check(store, Model(RULES))


def items(disk: Path) -> None:
    """The item store: what was refused is not there, what was stored is, and it opens again in place."""
    rows, ballast, total = 400, Ballast(disk), 0
    store = ItemStore.open(disk / "items", IDENTITY, budget=StoreBudget(write_buffer_bytes=200 << 10))
    for spare in SPARES:
        ballast.leave(spare)
        try:
            while True:
                store.append(item_rows(total % 1_000, rows), position=total + rows)
                total += rows
        except StoreWriteError:
            assert store.position == total
        try:
            store.reopen()
        except (StoreOpenError, StoreWriteError):
            ballast.remove()
            store.reopen()
        assert store.position == total
        found = np.concatenate([NONE, *(batch.item for batch in store.load())])
        assert len(np.unique(found)) == len(found) == min(total, 1_000)
        ballast.remove()
        store.reopen()
    store.close()


def item_rows(begin: int, rows: int) -> ItemBatch:
    item = np.arange(begin, begin + rows) % 1_000
    vectors = np.random.default_rng(begin).integers(-128, 128, (rows, 32)).astype(np.int8)
    none = np.zeros(rows, np.bool_)
    return ItemBatch(item, item, item[:, None], ("brand",), [], none, {"v1": (np.arange(rows), vectors)})


def everything(disk: Path) -> None:
    """All of them, on one disk."""
    for case in (behaviours, torn, read_only, checkpoint, items):
        for left in disk.iterdir():
            shutil.rmtree(left)
        case(disk)


if __name__ == "__main__":
    child({"everything": everything})
