"""The database in memory against RocksDB: the same answers to the same questions."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from rocksdict import Options, Rdict, WriteBatch

from tests.simulation.database import Disk, MemoryBatch, MemoryIterator

KEYS = [bytes([first, second]) for first in range(3) for second in range(4)]


def change(dice: Random, batch: Any) -> Any:
    for _ in range(dice.randint(1, 6)):
        key = dice.choice(KEYS)
        if dice.random() < 0.4:
            batch.delete(key)
        else:
            batch.put(key, dice.randbytes(dice.randint(0, 3)))
    return batch


def everything(iterator: Any) -> list[tuple[bytes, bytes]]:
    found = []
    iterator.seek(b"")
    while iterator.valid():
        found.append((iterator.key(), iterator.value()))
        iterator.next()
    return found


def around(iterator: Any, key: bytes) -> list[bytes | None]:
    """Where seeks land, and the neighbours from there."""
    found = []
    for move in ("seek", "seek_for_prev"):
        getattr(iterator, move)(key)
        found.append(iterator.key() if iterator.valid() else None)
        if iterator.valid():
            iterator.prev()
            found.append(iterator.key() if iterator.valid() else None)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_memory_answers_as_rocksdb_does(tmp_path: Path, seed: int) -> None:
    disk, rocks = Disk(), Rdict(str(tmp_path), Options(raw_mode=True))
    dice, same_dice = Random(seed), Random(seed)
    views = []
    for _ in range(30):
        views.append((MemoryIterator(disk), rocks.iter()))
        disk.write(change(dice, MemoryBatch(raw_mode=True)).ops)
        rocks.write(change(same_dice, WriteBatch(raw_mode=True)))
        memory, real = MemoryIterator(disk), rocks.iter()
        assert everything(memory) == everything(real)
        for key in (b"", *KEYS, b"\xff"):
            assert around(memory, key) == around(real, key)
    for memory, real in views:
        assert everything(memory) == everything(real)
    del views, memory, real
    rocks.close()


def test_a_power_loss_takes_whole_batches_from_the_end() -> None:
    disk = Disk()
    disk.write([(b"a", b"1"), (b"b", b"1")])
    view = MemoryIterator(disk)
    disk.write([(b"a", b"2"), (b"b", None)])
    disk.write([(b"c", b"3")])
    disk.lose(1)
    assert everything(MemoryIterator(disk)) == [(b"a", b"2")]
    disk.lose(1)
    assert everything(MemoryIterator(disk)) == everything(view) == [(b"a", b"1"), (b"b", b"1")]
    disk.lose(5)
    assert everything(MemoryIterator(disk)) == []
