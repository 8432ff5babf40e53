"""How many records the next poll may return, so that one partition's batch holds the interpreter for a bounded time.

Invariant: the size follows from measured processor seconds per record alone; a frame of a thousand behaviours counts as
what it costs, not as one, and the waiting of a busy machine does not count. RocksDB's write keeps the GIL (10-20 ms for
10 000 behaviours), so small batches protect requests and large ones carry the catch-up.
"""

from dataclasses import dataclass

SERVING_HOLD_SECONDS = 0.002
"""Longest hold while requests are answered: a tenth of the time in which a request should be answered."""
CATCH_UP_HOLD_SECONDS = 0.25
"""Longest turn otherwise: commands (a revocation) wait for one turn at most."""
BATCH_SECONDS = 0.0003
"""What a batch takes by itself, however few its records: decoding, writing and telling of one record, measured."""
LEAST_PART = 0.1
"""Of a batch's time belongs to its records, however short it was."""
RECORDS_MIN = 512
"""Of all partitions of a poll. So many take 2 ms, and below it the fixed costs of their batches outweigh the rows: with
64, 10 000 behaviours/s on 4 partitions cost a tenth of a core more while requests were answered, and turns were always
full, so that p99 of freshness was 175 to 240 ms at 50 requests/s, and is 62 to 68."""
RECORDS_MAX = 50_000
"""Above this a larger write batch gains nothing more."""
RECORDS_FIRST = 1_000
"""Asked for before anything has been measured."""
MEMORY = 0.8
"""Weight of the past in the running cost: about the last five batches count."""


@dataclass(slots=True)
class BatchSizer:
    """Turns measured cost into a record count. Used by one thread."""

    records_max: int = RECORDS_MAX
    records_min: int = RECORDS_MIN
    _seconds: float = 0.0
    _records: float = 0.0

    def measured(self, records: int, seconds: float) -> None:
        """Take in what one partition's batch of `records` records cost, in processor seconds."""
        if records:
            self._seconds = self._seconds * MEMORY + max(seconds - BATCH_SECONDS, LEAST_PART * seconds)
            self._records = self._records * MEMORY + records

    @property
    def seconds_per_record(self) -> float:
        """Running cost; 0.0 before the first measurement."""
        return self._seconds / self._records if self._records else 0.0

    def records(self, *, serving: bool) -> int:
        """Records for the next poll, between `records_min` and `records_max`."""
        if not self._seconds:
            return min(RECORDS_FIRST, self.records_max)
        hold = SERVING_HOLD_SECONDS if serving else CATCH_UP_HOLD_SECONDS
        return int(min(max(hold / self.seconds_per_record, self.records_min), self.records_max))
