"""Whether a log can continue a store: whether it is the one the store was built from, and has what comes next.

Invariant: whatever does not fit is an error with the operator's action in its text; nothing here changes a position.
"""

from collections.abc import Mapping
from typing import NamedTuple

from muse_stream.state.rules import StoreIdentity
from muse_stream.streams.errors import LogMismatchError
from muse_stream.streams.ingest.ports import LogBounds, Partition, TopicPartition
from muse_stream.streams.records import TopicFacts


class Origin(NamedTuple):
    """What a store was built from, as far as it concerns one topic; empty and 0: unknown."""

    cluster_id: str = ""
    topic_id: str = ""
    partitions: int = 0


UNKNOWN = Origin()


def origin_of(identity: StoreIdentity, *, users: bool = False) -> Origin:
    """What a store's label says of its topic, or of the users topic beside it."""
    topic_id = identity.users_topic_id if users else identity.topic_id
    return Origin(identity.cluster_id, topic_id, identity.partition_count)


def check_origin(at: TopicPartition, origin: Origin, cluster_id: str, facts: TopicFacts | None) -> Origin:
    """Compare with what the brokers say now, "" and None where they do not; returns all that is known.

    Brokers before 2.8 have no topic ids: there a topic that was created again shows by its positions alone.

    Raises:
        LogMismatchError: it is another log, or users hash to other partitions in it.

    """
    name, topic_id = f"{at.topic}-{at.partition}", facts.topic_id if facts else ""
    if cluster_id and origin.cluster_id and cluster_id != origin.cluster_id:
        message = (
            f"{name}: the store was built from cluster {origin.cluster_id}, and cluster {cluster_id} answers. "
            f"Operator action: point kafka.brokers at the right cluster; or, if this one replaces it for good, move "
            f"the store's directory away to build one from this log."
        )
        raise LogMismatchError(message, other_log=True)
    if topic_id and origin.topic_id and topic_id != origin.topic_id:
        message = (
            f"{name}: the topic was deleted and created again: the store was built from topic id {origin.topic_id}, "
            f"the brokers have {topic_id}. Operator action: what the old topic held is only in the stores and their "
            f"snapshots now: copy it back, or move the directory of each store of this topic away to build them from "
            f"the new one."
        )
        raise LogMismatchError(message, other_log=True)
    if facts and origin.partitions and facts.partitions != origin.partitions:
        message = (
            f"{name}: the topic has {facts.partitions} partitions, store and settings say {origin.partitions}: users "
            f"hash to other partitions since then, and nobody reads the new ones. Operator action: stop the producers; "
            f"create topics with the new count under another topics.prefix, copy the records over by their keys, and "
            f"point producers and workers there. Kafka cannot take partitions away again."
        )
        raise LogMismatchError(message, other_log=True)
    return Origin(origin.cluster_id or cluster_id, origin.topic_id or topic_id, origin.partitions)


def require_partition(at: TopicPartition, bounds: Mapping[Partition, LogBounds], facts: TopicFacts | None) -> LogBounds:
    """The bounds of a partition.

    Raises:
        LogMismatchError: the topic does not have it.

    """
    if at not in bounds:
        count = facts.partitions if facts else "fewer"
        message = (
            f"{at.topic}-{at.partition}: the topic has {count} partitions. Operator action: behaviours, users and "
            f"requests must have one count, that of topics.partitions; `muse-stream topics check` says which does not."
        )
        raise LogMismatchError(message, other_log=True)
    return bounds[at]


def check_bounds(at: TopicPartition, position: int, bounds: LogBounds, *, may_start_late: bool) -> None:
    """Raise LogMismatchError unless the log can continue a store at `position`."""
    check_end(at, position, bounds)
    name = f"{at.topic}-{at.partition}"
    if position < bounds.begin and position == 0 and not may_start_late:
        message = (
            f"{name}: the store is empty and the log begins at {bounds.begin}: what came before is gone. Operator "
            f"action: restore the store from a snapshot, or set state.start_at_log_start to begin with what is left."
        )
        raise LogMismatchError(message, behind=at.topic)
    if 0 < position < bounds.begin:
        message = (
            f"{name}: the store stands at {position}, the log begins at {bounds.begin}: {bounds.begin - position} "
            f"offsets are gone for good. Operator action: restore the store from a newer snapshot, or move its "
            f"directory away and set state.start_at_log_start to begin with what is left."
        )
        raise LogMismatchError(message, behind=at.topic)


def check_end(at: TopicPartition, position: int, bounds: LogBounds) -> None:
    """Raise LogMismatchError where the log ends below a position that was read from it."""
    if position > bounds.end:
        message = (
            f"{at.topic}-{at.partition}: the store stands at {position}, the log ends at {bounds.end}: records that "
            f"the store has are gone from the log. Either the topic was created again, or this is another cluster: "
            f"point the worker at the right one; or brokers lost acknowledged records (an unclean leader election). "
            f"Operator action: move the store's directory away to rebuild it from this log, or restore a snapshot "
            f"from before."
        )
        raise LogMismatchError(message)
