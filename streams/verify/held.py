"""The items log, held back: read as it comes, applied up to the moment of the answer at hand.

Vectors are replaced in place, so items cannot go back as histories can. They move on with the answers, in the order of
the answers' items positions, or once no answer can still want what they were.

Invariant: tables and catalogue hold exactly the records before `applied`.
"""

from collections import deque

import numpy as np

from muse_stream.state.item_chunks import ItemBatch
from muse_stream.streams.export.items import ItemTables, feed_of
from muse_stream.streams.export.tape import Piece
from muse_stream.streams.ingest.ports import Decode
from muse_stream.streams.records import RecordBatch


class HeldItems:
    """The items log and the tables.

    Attributes:
        read: Next offset wanted of the log.
        applied: Position of the tables.

    """

    def __init__(self, tables: ItemTables, decode: Decode[ItemBatch]) -> None:
        self.read = self.applied = 0
        self._feed = feed_of(tables, decode)
        self._queue: deque[tuple[float, Piece]] = deque()
        self._last = -1

    def take(self, records: RecordBatch, now: float) -> None:
        """Records that came at `now`, by any clock."""
        self._queue.append((now, Piece(records, 0, len(records), records.next_offset)))
        self.read = records.next_offset

    def is_past(self, position: int) -> bool:
        """Whether the tables hold a record that a moment at this position does not have."""
        return position <= self._last

    def changes_before(self, position: int) -> bool:
        """Whether reaching the position changes anything."""
        return bool(self._queue) and self._queue[0][1].position > self.applied and position > self.applied

    def reach(self, position: int) -> None:
        """Apply the records before a position that has been read."""
        while self._queue and self.applied < position:
            came, piece = self._queue.popleft()
            high = piece.low + int(np.searchsorted(piece.batch.offset[piece.low : piece.high], position))
            if high < piece.high:
                self._apply(Piece(piece.batch, piece.low, high, position))
                self._queue.appendleft((came, Piece(piece.batch, high, piece.high, piece.position)))
            else:
                self._apply(piece)

    def let_go(self, before: float, floor: int | None) -> bool:
        """Apply what came before a time, up to the smallest position that an answer waits for; whether any was."""
        applied = self.applied
        while self._queue and self._queue[0][0] < before and (floor is None or self.applied < floor):
            self.reach(min(self._queue[0][1].position, self._queue[0][1].position if floor is None else floor))
        return self.applied > applied

    def _apply(self, piece: Piece) -> None:
        if piece.high > piece.low:
            rows = self._feed.decode(piece.records()).rows
            self._feed.write(rows, piece.position, self._feed.position)
            self._last = int(piece.batch.offset[piece.high - 1])
        self.applied = max(self.applied, piece.position)
