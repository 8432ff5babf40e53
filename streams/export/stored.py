"""A partition's past out of a worker's store: no behaviours log is needed, and none is read.

A stored behaviour's arrival is the largest broker time up to its record, in whole seconds. So the behaviours before the
first record at or after T are those that arrived before T; where one arrived in T's own second, and T is not its
beginning, that is not known. What the cap trimmed or an erasure took is not there any more; and a store that stands
before the log's end knows of no moment after its own latest broker time.

Invariant: a history that is given is the one that the log would give. Profiles come from the users log, because a store
keeps the latest one only.
"""

import numpy as np

from muse_stream.state.columns import Sequence
from muse_stream.state.moment import StoreReader
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.errors import ExportError
from muse_stream.streams.export.moments import Moment
from muse_stream.streams.export.past import Profiles, Seen
from muse_stream.streams.export.reasons import Reason
from muse_stream.streams.wire.users import decode_profile


class StorePast:
    """A partition's past out of a store that a worker may be writing."""

    def __init__(self, reader: StoreReader, scratch: BehaviourStore, profiles: Profiles, log_end: int) -> None:
        """Take a reader and a scratch store for the profiles, both closed with this, and where the log ends.

        Raises:
            ExportError: The store has, or had, a time to live, or was converted from a layout without arrivals.

        """
        if reader.undated_until or any(change.rules.ttl_seconds for change in reader.rules):
            what = "was converted from a layout without arrivals" if reader.undated_until else "has a time to live"
            message = f"the store of partition {reader.identity.partition} {what}; export from the log: --from log"
            raise ExportError(message)
        self._reader, self._scratch, self._profiles = reader, scratch, profiles
        self._caps = [change.rules.cap for change in reader.rules]
        self._until_ms = None if reader.position >= log_end else reader.watermark_ms
        self._last: tuple[int, Sequence] | None = None

    def see(self, user: int, moment: Moment) -> Seen | Reason:
        """Cut what is stored of the user to what had arrived."""
        if moment.behaviours is not None:
            message = (
                "stores know no positions of served answers; export from the log (--from log), or drop the columns"
            )
            raise ExportError(message)
        refusal = self._profiles.reach(moment)
        if refusal:
            return refusal
        if self._until_ms is not None and moment.time_ms > self._until_ms:
            return Reason.STORE_ENDS_EARLIER
        history = self._before(self._sequence(user), moment.time_ms)
        if isinstance(history, Reason):
            return history
        with self._scratch.moment() as now:
            return Seen(history, decode_profile(now.profile(user)), -1, self._profiles.tape.position)

    def close(self) -> None:
        """Close both."""
        self._reader.close()
        self._scratch.close()

    def _sequence(self, user: int) -> Sequence:
        if self._last is None or self._last[0] != user:
            self._last = user, self._reader.sequence(user)
        return self._last[1]

    def _before(self, stored: Sequence, time_ms: int) -> Sequence | Reason:
        arrived = stored.rows["arrived_seconds"].astype(np.int64)
        second, part_ms = divmod(time_ms, 1_000)
        count, after = np.searchsorted(arrived, [second, second + 1]).tolist()
        if part_ms and after > count:
            return Reason.SAME_SECOND
        if (stored.start and count < max(self._caps)) or (len(self._caps) > 1 and count > min(self._caps)):
            return Reason.TRIMMED
        low = max(0, count - self._caps[-1])
        return Sequence(stored.start + low, stored.rows[low:count])
