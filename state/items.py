"""What the item log said, durable: category, features, vectors and titles of items, with the log position.

Invariant: loading gives each item the columns of its last row below `position`; rows and position are written together.

Key spaces of the RocksDB (values: `item_chunks.py`):

    00 name                  meta: `layout`, `identity`, `progress` (7 x i64 LE, the fields of `ItemProgress`)
    10 chunk u64 BE          columns of a chunk; chunks in log order
    11 chunk u64 BE          vectors of the same chunk
    20 item^2^63 u64 BE      title, UTF-8

Each append writes one chunk. Small ones are merged when they are many or reach 16 384 rows (2.4 MB at 128 dimensions:
about 5 ms of a write that holds the interpreter). When the log has grown to twice the rows that its last compaction
left, superseded rows are dropped: an append costs amortised constant time, more than half of the log is never dead for
long, and no table of items stays in memory for it. Vectors do not compress: LZ4 gives up on them at once, zstd would
not.
"""

import logging
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rocksdict import DBCompressionType, WriteBatch

from muse_stream.state.budget import StoreBudget
from muse_stream.state.cursor import Cursor
from muse_stream.state.database import Database
from muse_stream.state.errors import DamagedStoreError, StoreClosedError, StoreWriteError
from muse_stream.state.item_chunks import ItemBatch, concatenate, pack, unpack, unpack_items
from muse_stream.state.item_survivors import Survivors
from muse_stream.state.keys import META
from muse_stream.state.rules import StoreIdentity

log = logging.getLogger(__name__)

LAYOUT = "items/1"
CHUNK_ROWS = 16_384
OPEN_CHUNKS = 256

_PROGRESS_KEY = META + b"progress"
_PROGRESS = struct.Struct("<7q")
_NUMBERED = struct.Struct(">cQ")
_COLUMNS, _VECTORS, _TITLES = b"\x10", b"\x11", b"\x20"

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ItemProgress:
    """How far an item store has read, and the shape of its log of chunks.

    Attributes:
        position: Next items offset wanted.
        next_chunk: Number of the next chunk.
        open_chunk: Number of the first chunk that may still be merged.
        open_rows: Rows in the chunks from there on.
        rows: Rows in all chunks.
        settled_rows: Rows that the last compaction left.
        titles: Titles ever stored; while 0, rows without a title delete none.

    """

    position: int = 0
    next_chunk: int = 0
    open_chunk: int = 0
    open_rows: int = 0
    rows: int = 0
    settled_rows: int = 0
    titles: int = 0


@dataclass(frozen=True, slots=True)
class ItemStats:
    """Figures of an item store.

    Attributes:
        position: Next items offset wanted.
        rows: Rows in the chunks, superseded ones included.
        disk_bytes: Size of the table files.

    """

    position: int
    rows: int
    disk_bytes: int


class ItemStore:
    """The item log's content in one directory, for one worker.

    Attributes:
        path: The directory.
        identity: The log it is built from.

    """

    def __init__(self, open_database: Callable[[], Database], identity: StoreIdentity) -> None:
        self._open_database = open_database
        self._database = database = open_database()
        self.path = database.path
        self.identity = database.identity or identity
        self._lock = threading.Lock()
        self._loads: set[Cursor] = set()
        try:
            self._progress = self._read_progress()
        except BaseException:
            database.close()
            raise

    @classmethod
    def open(cls, path: Path, identity: StoreIdentity, *, budget: StoreBudget | None = None) -> "ItemStore":
        """Open the item store of `identity` in `path`, or begin one there.

        Raises:
            StoreOpenError: One of its kinds; the directory is left as it was.

        """
        budget = budget or StoreBudget()

        def open_database() -> Database:
            options = budget.options()
            options.set_compression_type(DBCompressionType.lz4())
            return Database.open(path, LAYOUT, identity, options)

        return cls(open_database, identity)

    def reopen(self) -> None:
        """Close the directory and open it again: the way out after a refused write.

        Who uses the store meanwhile meets StoreClosedError.

        Raises:
            StoreOpenError: One of its kinds; the store is closed then, and this may be called again.

        """
        with self._lock:
            self._database.close(list(self._loads))
            self._database = self._open_database()
            self._progress = self._read_progress()

    @property
    def position(self) -> int:
        """Next items offset wanted; the version of everything built from this store."""
        return self._progress.position

    def append(self, batch: ItemBatch, *, position: int) -> None:
        """Store rows and the consumer's next position, both or neither.

        A `position` at or below the stored one changes nothing.

        Raises:
            BatchError: Columns contradict each other.
            StoreWriteError: RocksDB refused; the store is as before.
            StoreClosedError: After close.

        """
        batch.check()
        with self._lock, self._database.gate:
            if position <= self.position:
                return
            out = WriteBatch(raw_mode=True)
            progress = replace(self._progress, position=position)
            if len(batch):
                progress = self._put_titles(batch, out, progress)
                progress = self._put_rows(batch, out, progress)
            self._write(out, progress)
            if progress.rows >= 2 * (progress.settled_rows + CHUNK_ROWS):
                self._try_compact()

    def load(self) -> Iterator[ItemBatch]:
        """The last row of each item that is not forgotten, in large batches, without titles; a consistent view.

        Raises:
            StoreClosedError: When the store is closed before the last batch.

        """
        with self._database.gate:
            cursor = self._database.cursor()
            self._loads.add(cursor)
            alive = _alive(cursor, self._progress.rows)
        try:
            for number, last in alive:
                with self._database.gate:
                    batch = _read(cursor, number)
                kept = batch.select(last & ~batch.forget)
                if len(kept):
                    yield kept
        finally:
            cursor.close()
            self._loads.discard(cursor)

    def titles(self, items: Ints) -> list[str | None]:
        """The titles of `[n]` items, None where there is none."""
        with self._database.gate, self._database.cursor() as cursor:
            found = [cursor.get(_title_key(item)) for item in items.tolist()]
        return [None if title is None else title.decode() for title in found]

    def stats(self) -> ItemStats:
        """Figures of the store now."""
        disk = 0  # while the store is closed between two tries to open it again
        with suppress(StoreClosedError), self._database.gate:
            disk = self._database.number("total-sst-files-size")
        return ItemStats(self.position, self._progress.rows, disk)

    def close(self) -> None:
        """Close the store; waits for calls inside, then everything raises StoreClosedError."""
        self._database.close(list(self._loads))

    def _read_progress(self) -> ItemProgress:
        with self._database.gate, self._database.cursor() as cursor:
            raw = cursor.get(_PROGRESS_KEY)
        return ItemProgress(*_PROGRESS.unpack(raw)) if raw else ItemProgress()

    def _put_titles(self, batch: ItemBatch, out: WriteBatch, progress: ItemProgress) -> ItemProgress:
        titles = batch.title or [None] * len(batch)
        for item, title, forget in zip(batch.item.tolist(), titles, batch.forget.tolist(), strict=True):
            if title is not None and not forget:
                out.put(_title_key(item), title.encode())
                progress = replace(progress, titles=progress.titles + 1)
            elif progress.titles:
                out.delete(_title_key(item))
        return progress

    def _put_rows(self, batch: ItemBatch, out: WriteBatch, progress: ItemProgress) -> ItemProgress:
        number, added = progress.next_chunk, len(batch)
        open_rows = progress.open_rows + added
        closes = open_rows >= CHUNK_ROWS or number - progress.open_chunk >= OPEN_CHUNKS
        if closes and number > progress.open_chunk:
            batch = concatenate([*self._take_open(out), batch])
            batch = batch.select(Survivors(len(batch)).alive(batch.item))
            number = progress.open_chunk
        _put(number, batch, out)
        return replace(
            progress,
            next_chunk=progress.next_chunk + 1,
            open_chunk=progress.next_chunk + 1 if closes else progress.open_chunk,
            open_rows=0 if closes else open_rows,
            rows=progress.rows + (len(batch) - progress.open_rows if closes else added),
        )

    def _take_open(self, out: WriteBatch) -> Iterator[ItemBatch]:
        with self._database.cursor() as cursor:
            for number in range(self._progress.open_chunk, self._progress.next_chunk):
                yield _read(cursor, number)
                _delete(number, out)

    def _try_compact(self) -> None:
        """Compact; the rows are stored already, so a disk that refuses is the next append's trouble."""
        try:
            self._compact()
        except StoreWriteError as error:
            log.warning("superseded items were not dropped: %s", error)

    def _compact(self) -> None:
        """Drop superseded rows, oldest chunks first: after each write the log means the same as before it."""
        progress = self._progress
        self._write(WriteBatch(raw_mode=True), replace(progress, open_chunk=progress.next_chunk, open_rows=0))
        numbers: list[int] = []
        kept: list[ItemBatch] = []
        before = 0
        with self._database.cursor() as cursor:
            for number, alive in _alive(cursor, progress.rows):
                batch = _read(cursor, number)
                numbers.append(number)
                kept.append(batch.select(alive & ~batch.forget))
                before += len(batch)
                if sum(map(len, kept)) >= CHUNK_ROWS // 2:
                    self._replace(numbers, kept, before)
                    numbers, kept, before = [], [], 0
        if numbers:
            self._replace(numbers, kept, before)
        self._write(WriteBatch(raw_mode=True), replace(self._progress, settled_rows=self._progress.rows))

    def _replace(self, numbers: list[int], kept: list[ItemBatch], before: int) -> None:
        """Write one chunk in place of `numbers`, which held `before` rows; leave a chunk that lost none."""
        merged = concatenate(kept)
        if len(numbers) == 1 and len(merged) == before:
            return
        out = WriteBatch(raw_mode=True)
        for number in numbers:
            _delete(number, out)
        if len(merged):
            _put(numbers[0], merged, out)
        self._write(out, replace(self._progress, rows=self._progress.rows - before + len(merged)))

    def _write(self, out: WriteBatch, progress: ItemProgress) -> None:
        out.put(_PROGRESS_KEY, _PROGRESS.pack(*astuple(progress)))
        self._database.write(out)
        self._progress = progress


def _alive(cursor: Cursor, rows: int) -> list[tuple[int, Flags]]:
    """Per chunk, oldest first: its number and which of its rows are their item's last."""
    survivors = Survivors(rows)
    found: list[tuple[int, Flags]] = []
    key = cursor.at_or_before(_VECTORS)
    while key is not None and key[:1] == _COLUMNS:
        found.append((_NUMBERED.unpack(key)[1], survivors.alive(unpack_items(cursor.value()))))
        key = cursor.previous()
    return found[::-1]


def _read(cursor: Cursor, number: int) -> ItemBatch:
    columns, vectors = (cursor.get(_NUMBERED.pack(space, number)) for space in (_COLUMNS, _VECTORS))
    if columns is None or vectors is None:
        found = f"chunk {number} is not whole."
        raise DamagedStoreError(cursor.path, found, "move the directory away: it is rebuilt from the items topic.")
    return unpack(columns, vectors)


def _put(number: int, batch: ItemBatch, out: WriteBatch) -> None:
    columns, vectors = pack(batch)
    out.put(_NUMBERED.pack(_COLUMNS, number), columns)
    out.put(_NUMBERED.pack(_VECTORS, number), vectors)


def _delete(number: int, out: WriteBatch) -> None:
    out.delete(_NUMBERED.pack(_COLUMNS, number))
    out.delete(_NUMBERED.pack(_VECTORS, number))


def _title_key(item: int) -> bytes:
    return _NUMBERED.pack(_TITLES, item + (1 << 63))
