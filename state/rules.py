"""What a store was built from and by which rules: identity and rules, as they are kept in its meta.

Invariant: a store's content follows from its identity's log prefix and these rules, each from its offset on; nothing
else (wall clock, batch boundaries, other topics) has a say.
"""

import json
from dataclasses import asdict, dataclass, replace

from muse_stream.state.errors import RuleError

SECONDS_MAX = 2**32 - 1
"""The last arrival that a row can say: the year 2106. What comes later, by a broken clock, counts as arrived then."""


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """The log a store is built from.

    Attributes:
        cluster_id: Kafka's cluster id.
        topic: Topic name.
        partition: Partition number.
        partition_count: Partitions of the topic: another count sends users elsewhere.
        topic_id: Kafka's id of the topic (KIP-516), in the form that Kafka's own tools print; a topic that was deleted
            and created again under its name has another one. "" where the brokers do not tell.
        users_topic_id: The same of the users topic, whose profiles share the store.

    """

    cluster_id: str
    topic: str
    partition: int
    partition_count: int
    topic_id: str = ""
    users_topic_id: str = ""

    def agreed(self, other: "StoreIdentity") -> "StoreIdentity | None":
        """What both say, each adding the topic ids that the other does not know; None where they contradict."""
        mine, others = replace(self, topic_id="", users_topic_id=""), replace(other, topic_id="", users_topic_id="")
        known = [(self.topic_id, other.topic_id), (self.users_topic_id, other.users_topic_id)]
        if mine != others or any(one and two and one != two for one, two in known):
            return None
        topic_id, users_topic_id = (one or two for one, two in known)
        return replace(self, topic_id=topic_id, users_topic_id=users_topic_id)

    def to_bytes(self) -> bytes:
        """JSON object of the attributes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "StoreIdentity":
        """The inverse of `to_bytes`."""
        return cls(**json.loads(raw))


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that decide what a store keeps.

    Attributes:
        cap: Behaviours that a user's sequence shows, the newest ones (MUSE keeps 100 000).
        duplicate_window: A behaviour is dropped when its user and event id are among those of the last so many
            behaviours with an event id that this partition kept; 0 keeps every behaviour.
        ttl_seconds: A behaviour expires when the partition's latest broker time, in whole seconds, is more than so
            many after the one at which it arrived: it stays that long and less than a second longer. None: it stays.

    Raises:
        RuleError: On a value outside these bounds.

    """

    cap: int = 100_000
    duplicate_window: int = 100_000
    ttl_seconds: int | None = None

    def __post_init__(self) -> None:
        if self.cap < 1:
            message = f"cap is {self.cap}, expected at least 1. Operator action: set the cap to a positive number."
            raise RuleError(message)
        if not 0 <= self.duplicate_window < 2**30:
            found = f"duplicate_window is {self.duplicate_window}, expected 0 (off) to 2^30 - 1."
            message = f"{found} Operator action: choose a window of that size."
            raise RuleError(message)
        if self.ttl_seconds is not None and not 0 < self.ttl_seconds <= SECONDS_MAX:
            found = f"ttl_seconds is {self.ttl_seconds}, expected 1 to 2^32 - 1, or None to keep what the cap keeps."
            message = f"{found} Operator action: choose a time to live of that length, or remove the setting."
            raise RuleError(message)

    def oldest_seconds(self, watermark_ms: int) -> int:
        """The earliest arrival that has not expired at that latest broker time; 0 where nothing expires."""
        return 0 if self.ttl_seconds is None else max(whole_seconds(watermark_ms) - self.ttl_seconds, 0)


def whole_seconds(watermark_ms: int) -> int:
    """A latest broker time as rows say it."""
    return min(watermark_ms // 1_000, SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Rules and the behaviours offset from which they hold."""

    offset: int
    rules: Rules


def pack_rules(changes: list[RuleChange]) -> bytes:
    """JSON array of the changes, oldest first."""
    return json.dumps([{"offset": change.offset, **asdict(change.rules)} for change in changes]).encode()


def unpack_rules(raw: bytes) -> list[RuleChange]:
    """The inverse of `pack_rules`."""
    return [RuleChange(entry.pop("offset"), Rules(**entry)) for entry in json.loads(raw)]
