"""Opening a partition: its store, checked against the log, and a cursor for each of its two topics.

Invariant: a store whose position the log cannot continue is never read on, moved or reset: the partition stops with a
text that names the operator's action.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from muse_stream.state.columns import BehaviourBatch
from muse_stream.streams.errors import LogMismatchError
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.feeds import BehaviourFeed, Feed, UserFeed
from muse_stream.streams.ingest.ports import (
    Decode,
    DecodeUsers,
    HistorySink,
    LogBounds,
    Partition,
    Store,
    TopicPartition,
)


@dataclass(frozen=True, slots=True)
class PartitionParts:
    """What every partition of the worker is made of.

    Attributes:
        behaviours: Topic name.
        users: Topic name.
        open_store: Opens or creates the store of a partition; a new one starts at the given offset.
        decode_behaviours: The wire's decoder of that topic.
        decode_users: The wire's decoder of that topic.
        engine: Told of what was stored.
        start_at_log_start: Whether an empty store may begin where a shortened log now begins.

    """

    behaviours: str
    users: str
    open_store: Callable[[int, int], Store]
    decode_behaviours: Decode[BehaviourBatch]
    decode_users: DecodeUsers
    engine: HistorySink
    start_at_log_start: bool = False

    def topics(self, partition: int) -> list[TopicPartition]:
        """Both topic partitions."""
        return [TopicPartition(self.behaviours, partition), TopicPartition(self.users, partition)]

    def start(self, partition: int, bounds: Mapping[Partition, LogBounds]) -> int:
        """Where a store starts that does not exist yet."""
        return bounds[TopicPartition(self.behaviours, partition)].begin if self.start_at_log_start else 0

    def cursors(self, partition: int, store: Store, bounds: Mapping[Partition, LogBounds]) -> list[Cursor]:
        """A checked cursor for each topic, standing by.

        Raises:
            LogMismatchError: the log cannot continue the store.

        """
        behaviours, users = self.topics(partition)
        feeds: list[tuple[TopicPartition, Feed]] = [
            (behaviours, BehaviourFeed(store, self.engine, self.decode_behaviours)),
            (users, UserFeed(store, self.decode_users)),
        ]
        return [new_cursor(at, feed, bounds[at], may_start_late=self.start_at_log_start) for at, feed in feeds]


def new_cursor(at: TopicPartition, feed: Feed, bounds: LogBounds, *, may_start_late: bool) -> Cursor:
    """A cursor that stands by, with the log's end as its target.

    Raises:
        LogMismatchError: the log cannot continue the store.

    """
    check_bounds(at, feed.position, bounds, may_start_late=may_start_late)
    if feed.position < bounds.begin:
        feed.skip_to(bounds.begin)
    return Cursor(at, feed, target=bounds.end, end=bounds.end, end_seen_ms=bounds.seen_ms)


def check_bounds(at: TopicPartition, position: int, bounds: LogBounds, *, may_start_late: bool) -> None:
    """Raise LogMismatchError unless the log can continue a store at `position`."""
    name = f"{at.topic}-{at.partition}"
    if position > bounds.end:
        message = (
            f"{name}: the store stands at {position}, the log ends at {bounds.end}: the topic was recreated, or "
            f"this is another cluster. Point the worker at the right cluster, or move the store's directory away to "
            f"rebuild it from this log."
        )
        raise LogMismatchError(message)
    if position < bounds.begin and position == 0 and not may_start_late:
        message = (
            f"{name}: the store is empty and the log begins at {bounds.begin}: what came before is gone. Restore the "
            f"store from a snapshot, or set state.start_at_log_start to begin with what is left."
        )
        raise LogMismatchError(message)
    if 0 < position < bounds.begin:
        message = (
            f"{name}: the store stands at {position}, the log begins at {bounds.begin}: {bounds.begin - position} "
            f"offsets are gone for good. Restore the store from a newer snapshot, or move its directory away and set "
            f"state.start_at_log_start to begin with what is left."
        )
        raise LogMismatchError(message)
