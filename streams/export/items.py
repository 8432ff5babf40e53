"""Items at one moment after the other: vectors, categories and features, through the item reader's own feed.

Invariant: tables and catalogue hold what the items log says before the moment, as a worker's do at that position.
Memory is that of a worker's tables.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from muse_stream.gsu_engine import ItemIndex, VectorTable
from muse_stream.state.item_chunks import ItemBatch
from muse_stream.state.rules import StoreIdentity
from muse_stream.streams.export.moments import Moment
from muse_stream.streams.export.past import Horizon
from muse_stream.streams.export.reasons import Reason
from muse_stream.streams.export.tape import Tape
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.item_feed import ItemFeed
from muse_stream.streams.ingest.ports import I64, Decode


class _NoStore:
    """An `ItemLog` that keeps a position and no rows: tables and catalogue are all that an export needs."""

    def __init__(self) -> None:
        self.identity = StoreIdentity("", "", 0, 1)
        self.position = 0

    def append(self, batch: ItemBatch, *, position: int) -> None:
        del batch
        self.position = max(self.position, position)

    def load(self) -> Iterator[ItemBatch]:
        return iter(())

    def titles(self, items: I64) -> list[str | None]:
        return [None] * len(items)

    def reopen(self) -> None:
        """Nothing can have been lost."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class ItemTables:
    """What is read of items: the vectors of each space wanted, and the catalogue, over one index."""

    spaces: Mapping[str, VectorTable]
    catalogue: Catalogue

    @classmethod
    def of(cls, spaces: Mapping[str, int], features: tuple[str, ...], budget_bytes: int) -> "ItemTables":
        """Empty tables: dimensions by space, item features in the order of their columns, bytes of each space."""
        index = ItemIndex()
        tables = {name: VectorTable(name, dimension, index, budget_bytes) for name, dimension in spaces.items()}
        return cls(tables, Catalogue(index, features))


def feed_of(tables: ItemTables, decode: Decode[ItemBatch]) -> ItemFeed:
    """The item reader's own feed into the tables; it keeps no rows on disk."""
    return ItemFeed(_NoStore(), tables.spaces, tables.catalogue, decode)


class ItemsPast:
    """The items log, up to a moment. `refused`: vectors that found no room in the table's budget."""

    def __init__(self, tables: ItemTables, tape: Tape, decode: Decode[ItemBatch], horizon: Horizon) -> None:
        self._tables = tables.spaces
        self._feed = feed_of(tables, decode)
        self.tape, self._horizon = tape, horizon

    @property
    def refused(self) -> int:
        """Vectors that found no room."""
        return sum(table.stats().refused for table in self._tables.values())

    def changes_before(self, moment: Moment) -> bool:
        """Whether reaching the moment changes anything: what was computed at the last one must be finished first."""
        following = self.tape.peek()
        if following is None:
            return False
        return self.tape.position < moment.items if moment.items is not None else following < moment.time_ms

    def reach(self, moment: Moment) -> Reason | None:
        """Apply what comes before the moment; why that is not enough, if it is not."""
        if moment.items is not None and moment.items > self.tape.end:
            return Reason.BEYOND_LOG
        for piece in self.tape.before(moment.items, moment.time_ms):
            rows = self._feed.decode(piece.records()).rows
            self._feed.write(rows, piece.position, self._feed.position)
        return Reason.ITEMS_INCOMPLETE if self._horizon.hides(self.tape) else None
