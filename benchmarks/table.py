"""Vector table and item index at full size: seconds to fill and to restart, time to look items up, bytes per item.

A restart reads what the item log said from the worker's own store and puts it into an empty table. Every third id that
histories then bring has no vector.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil

from muse_stream.benchmarks.report import Row
from muse_stream.gsu_engine import ItemIndex, VectorTable
from muse_stream.state.item_chunks import ItemBatch
from muse_stream.state.items import ItemStore
from muse_stream.state.rules import StoreIdentity

CHUNK = 50_000
LOOKUPS = 1_000
SPACE = "benchmark"


def run(*, items: int = 10_000_000, dimension: int = 128, skip_restart: bool = False, quick: bool = False) -> list[Row]:
    """Rows for filling, looking up, restarting and for bytes.

    Args:
        items: Items with a vector.
        dimension: Bytes of a vector.
        skip_restart: Leave the restart out; it needs as much room on disk as the vectors take.
        quick: 200 000 items.

    """
    items = 200_000 if quick else items
    process = psutil.Process()
    _table(1_000, dimension).put(np.arange(1, 1_001), np.ones((1_000, dimension), np.int8))  # loads the code
    before = process.memory_info().rss
    table = _table(items, dimension)
    filling = _seconds(lambda: _fill(table, items))
    grown = process.memory_info().rss - before
    rows = [
        Row(f"{items} items: fill the table", filling, "s"),
        Row(f"{items} items: look up {LOOKUPS} vectors", 1e3 * _lookup(table, items), "ms"),
        Row("bytes per item with a vector, counted", (table.stats().bytes + table.index.stats().bytes) / items, "B"),
        Row("bytes per item with a vector, process growth", grown / items, "B"),
        *_unseen(table, items // 3),
    ]
    return rows if skip_restart else [*rows, *_restart(items, dimension)]


def _table(items: int, dimension: int) -> VectorTable:
    return VectorTable(SPACE, dimension, ItemIndex(max_items=2 * items), (items + 1) * (dimension + 4))


def _ids(number: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Distinct ids spread over all of int64."""
    spread = np.arange(number + 1, number + count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return spread.view(np.int64)


def _chunks(items: int, dimension: int) -> Iterator[ItemBatch]:
    rng = np.random.default_rng(0)
    vectors = rng.integers(-127, 128, (CHUNK, dimension), np.int8)
    for low in range(0, items, CHUNK):
        count = min(CHUNK, items - low)
        yield ItemBatch(
            item=_ids(low, count),
            category=np.ones(count, np.int64),
            features=np.empty((count, 0), np.int64),
            feature_names=(),
            title=[None] * count,
            forget=np.zeros(count, np.bool_),
            vectors={SPACE: (np.arange(count), vectors[:count])},
        )


def _fill(table: VectorTable, items: int) -> None:
    for batch in _chunks(items, table.dimension):
        table.put(batch.item, batch.vectors[SPACE][1])


def _lookup(table: VectorTable, items: int) -> float:
    """Median seconds over rotating ids."""
    rng = np.random.default_rng(1)
    every = _ids(0, items)
    return statistics.median(_seconds(lambda: table.lookup(rng.choice(every, LOOKUPS))) for _ in range(50))


def _unseen(table: VectorTable, count: int) -> list[Row]:
    """What ids cost that only histories know."""
    taken = _seconds(lambda: table.index.slots(_ids(1 << 40, count), create=True))
    stats = table.index.stats()
    name = f"{count} ids without a vector"
    return [
        Row(f"{name}: give them slots", taken, "s"),
        Row(f"index of {stats.items} items, bytes each", stats.bytes / stats.items + 4, "B"),
    ]


def _restart(items: int, dimension: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        identity = StoreIdentity(SPACE, "items", 0, 1)
        store = ItemStore.open(Path(directory), identity)
        position = 0
        for batch in _chunks(items, dimension):
            position += len(batch)
            store.append(batch, position=position)
        store.close()
        table = _table(items, dimension)
        seconds = _seconds(lambda: _load(Path(directory), identity, table))
    return [Row(f"{items} items: restart from the item store", seconds, "s")]


def _load(path: Path, identity: StoreIdentity, table: VectorTable) -> None:
    store = ItemStore.open(path, identity)
    for batch in store.load():
        rows, vectors = batch.vectors[SPACE]
        table.put(batch.item[rows], vectors)
    store.close()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
