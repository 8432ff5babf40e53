"""Opening a partition: its store, checked against the log, and a cursor for each of its two topics.

Invariant: a store whose position the log cannot continue is never read on, moved or reset: the partition stops with a
text that names the operator's action.
"""

from collections.abc import Callable
from dataclasses import dataclass

from muse_stream.state.columns import BehaviourBatch
from muse_stream.streams.ingest.checking import Origin, check_bounds, check_origin, origin_of, require_partition
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.feeds import BehaviourFeed, Feed, UserFeed
from muse_stream.streams.ingest.ports import (
    Decode,
    DecodeUsers,
    HistorySink,
    LogBounds,
    Restores,
    Store,
    TopicPartition,
)
from muse_stream.streams.ingest.questions import LogAnswers
from muse_stream.streams.wire.canary import canary_id


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
        restores: Where a store comes from that is missing, or that the log cannot continue; None: from nowhere.

    """

    behaviours: str
    users: str
    open_store: Callable[[int, int], Store]
    decode_behaviours: Decode[BehaviourBatch]
    decode_users: DecodeUsers
    engine: HistorySink
    start_at_log_start: bool = False
    restores: Restores | None = None

    def topics(self, partition: int) -> list[TopicPartition]:
        """Both topic partitions."""
        return [TopicPartition(self.behaviours, partition), TopicPartition(self.users, partition)]

    def bounds(self, partition: int, answers: LogAnswers) -> LogBounds:
        """The behaviours log of a partition. Raises LogMismatchError: the topic does not have it."""
        at, _ = self.topics(partition)
        return require_partition(at, answers.bounds, answers.topics.get(at.topic))

    def start(self, partition: int, answers: LogAnswers) -> int:
        """Where a store starts that does not exist yet.

        Raises:
            LogMismatchError: a topic does not have the partition.

        """
        for at in self.topics(partition):
            require_partition(at, answers.bounds, answers.topics.get(at.topic))
        return answers.bounds[TopicPartition(self.behaviours, partition)].begin if self.start_at_log_start else 0

    def cursors(self, partition: int, store: Store, answers: LogAnswers) -> list[Cursor]:
        """A checked cursor for each topic, standing by.

        Raises:
            LogMismatchError: the log cannot continue the store.

        """
        behaviours, users = self.topics(partition)
        canary = canary_id(partition, store.identity.partition_count)
        feed = BehaviourFeed(store, self.engine, self.decode_behaviours, uncounted=canary)
        feeds: list[tuple[TopicPartition, Feed, Origin]] = [
            (behaviours, feed, origin_of(store.identity)),
            (users, UserFeed(store, self.decode_users), origin_of(store.identity, users=True)),
        ]
        return [new_cursor(*feed, answers, may_start_late=self.start_at_log_start) for feed in feeds]


def new_cursor(at: TopicPartition, feed: Feed, origin: Origin, answers: LogAnswers, *, may_start_late: bool) -> Cursor:
    """A cursor that stands by, with the log's end as its target.

    Raises:
        LogMismatchError: the log cannot continue the store.

    """
    origin = check_origin(at, origin, answers.cluster_id, answers.topics.get(at.topic))
    bounds = require_partition(at, answers.bounds, answers.topics.get(at.topic))
    check_bounds(at, feed.position, bounds, may_start_late=may_start_late)
    if feed.position < bounds.begin:
        feed.skip_to(bounds.begin)
    cursor = Cursor(
        at, feed, target=bounds.end, end=bounds.end, end_seen_ms=bounds.seen_ms, origin=origin, began=feed.visible
    )
    cursor.note_asked(bounds.end, bounds.seen_ms)
    return cursor
