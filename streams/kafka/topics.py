"""The topics of this program: names, partition counts, retention, and whose clock stamps the records.

Invariant: behaviours, users and requests have one partition count, so that a user's records meet on one partition
number; items has one partition, so that an offset of it is a version of the item table.

What each setting is for:

* behaviours is the changelog of every store: nothing leaves it unless snapshots allow less (`behaviours_retention_ms`).
* users and items are compacted, but nothing younger than the replay window is, and tombstones live as long: an answer
  can be rebuilt from the log for that long. Requests and scores are kept as long.
* `LogAppendTime` on everything that state and deadlines are built from: the record's time is the broker's clock.
* Dead letters hold any record of the other topics with its bytes in base64 (4/3 of its size) and the reason.
* models is a handful of keys, read from the beginning at every start: compacted without delay, in segments of an hour,
  since the segment being written is never compacted and every worker repeats its report each minute.
"""

from dataclasses import dataclass, field
from typing import Literal

_DAY_MS = 24 * 3600 * 1000
REPLAY_WINDOW_MS = 7 * _DAY_MS
DEFAULT_PARTITIONS = 8
_DEAD_LETTER_RETENTION_MS = 30 * _DAY_MS  # long enough that a person on leave still finds them
_CONTROL_RETENTION_MS = _DAY_MS
_MODELS_SEGMENT_MS = 3600 * 1000
# 2 000 candidates, each with a 128-dimensional vector in JSON numbers (about 600 bytes), fit into 4 MiB of request; 200
# candidates with 50 retrieved behaviours each (about 100 bytes) into 8 MiB of answer, with room to spare.
REQUEST_BYTES = 4 * 2**20
SCORE_BYTES = 8 * 2**20
DEAD_LETTER_BYTES = 8 * 2**20

Role = Literal["behaviours", "users", "items", "requests", "scores", "dead_letters", "control", "models"]


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Topic names; each can be set by itself."""

    behaviours: str = "behaviours"
    users: str = "users"
    items: str = "items"
    requests: str = "requests"
    scores: str = "scores"
    dead_letters: str = "dead-letters"
    control: str = "control"
    models: str = "models"

    @classmethod
    def prefixed(cls, prefix: str) -> "TopicNames":
        """Return the default names with a prefix before each, for several installations on one cluster."""
        plain = cls()
        return cls(**{role: prefix + getattr(plain, role) for role in cls.__slots__})

    def by_role(self) -> dict[Role, str]:
        """Return the name of each role."""
        return {role: getattr(self, role) for role in self.__slots__}  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What one topic must be like."""

    role: Role
    name: str
    partitions: int
    replication: int
    configs: dict[str, str] = field(default_factory=dict)


def topic_specs(
    names: TopicNames | None = None,
    *,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int = 1,
    replay_window_ms: int = REPLAY_WINDOW_MS,
    behaviours_retention_ms: int = -1,
) -> list[TopicSpec]:
    """Return what the topics must be like.

    Args:
        names: Their names.
        partitions: Of behaviours, users, requests and scores.
        replication: Of all; from 3 on, a write needs two replicas.
        replay_window_ms: How long any answer can be rebuilt.
        behaviours_retention_ms: -1: for ever.

    """
    names = names or TopicNames()
    window = str(replay_window_ms)
    kept = {"cleanup.policy": "delete", "retention.bytes": "-1"}
    broker_time = {"message.timestamp.type": "LogAppendTime"}
    compacted = {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": window,
        "delete.retention.ms": window,
        **broker_time,
    }
    table: list[tuple[Role, int, dict[str, str]]] = [
        ("behaviours", partitions, {**kept, "retention.ms": str(behaviours_retention_ms), **broker_time}),
        ("users", partitions, compacted),
        ("items", 1, compacted),
        (
            "requests",
            partitions,
            {**kept, "retention.ms": window, "max.message.bytes": str(REQUEST_BYTES), **broker_time},
        ),
        ("scores", partitions, {**kept, "retention.ms": window, "max.message.bytes": str(SCORE_BYTES)}),
        (
            "dead_letters",
            1,
            {**kept, "retention.ms": str(_DEAD_LETTER_RETENTION_MS), "max.message.bytes": str(DEAD_LETTER_BYTES)},
        ),
        ("control", 1, {**kept, "retention.ms": str(_CONTROL_RETENTION_MS)}),
        ("models", 1, {"cleanup.policy": "compact", "segment.ms": str(_MODELS_SEGMENT_MS), **broker_time}),
    ]
    durable = {"min.insync.replicas": "2"} if replication >= 3 else {}
    return [
        TopicSpec(role, names.by_role()[role], count, replication, {**configs, **durable})
        for role, count, configs in table
    ]
