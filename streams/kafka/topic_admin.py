"""Creating the topics and comparing them with what they must be.

Invariant: `ensure_topics` changes nothing at all if any topic has the wrong number of partitions; run twice, the second
run changes nothing.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError as ClientError
from kafka.errors import TopicAlreadyExistsError

from muse_stream.streams.errors import TopicError
from muse_stream.streams.kafka.topics import TopicSpec

_LOOK_SECONDS = 0.02
_READY_MS = 30_000  # leaders of some dozens of partitions on a busy machine


@dataclass(frozen=True, slots=True)
class TopicOutcome:
    """What `ensure_topics` did with one topic.

    Attributes:
        name: The topic.
        action: What was done.
        changes: Per changed setting, the value before and after.

    """

    name: str
    action: Literal["created", "changed", "unchanged"]
    changes: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """One line of `check_topics`.

    Attributes:
        name: The topic.
        ok: Whether it is as it must be.
        text: What was found, what was expected and what to do.

    """

    name: str
    ok: bool
    text: str


def _described(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    existing = set(admin.list_topics()).intersection(names)
    if not existing:
        return {}
    return {topic["name"]: topic for topic in admin.describe_topics(sorted(existing))}


def topic_configs(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings of topics, the brokers' defaults among them, by name."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(names)]
    if not resources:
        return {}
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    return {name: {key: str(entry["value"]) for key, entry in configs.items()} for name, configs in found.items()}


def _different(spec: TopicSpec, found: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {key: (found.get(key, ""), value) for key, value in spec.configs.items() if found.get(key) != value}


def _partition_mismatch(spec: TopicSpec, found: int) -> str:
    return f"{found} partitions, expected {spec.partitions}"


_MISMATCH_ADVICE = (
    "behaviours, users and requests must have one count, and every store belongs to one partition of that count: with "
    "another one a user's key hashes to another partition than the history lies on. (items needs exactly one: its "
    "offset is the item table's version.) Either set the partition count to what the topics have, or name other topics "
    "(a prefix) and copy the records over; adding partitions in place would split histories. Nothing was changed"
)


def ensure_topics(admin: KafkaAdminClient, specs: Iterable[TopicSpec]) -> list[TopicOutcome]:
    """Create the topics that are missing and set what differs on the others; idempotent.

    Raises:
        TopicError: A topic has another partition count (nothing was changed), or the brokers refuse.

    """
    specs = list(specs)
    described = _described(admin, [spec.name for spec in specs])
    mismatches = [
        f"{spec.name}: {_partition_mismatch(spec, len(described[spec.name]['partitions']))}"
        for spec in specs
        if spec.name in described and len(described[spec.name]["partitions"]) != spec.partitions
    ]
    if mismatches:
        text = f"wrong partition counts ({'; '.join(mismatches)}): {_MISMATCH_ADVICE}."
        raise TopicError(text)
    try:
        created = _create(admin, [spec for spec in specs if spec.name not in described])
        changed = _align(admin, [spec for spec in specs if spec.name in described])
    except ClientError as error:
        text = f"the brokers refused to create or change topics: {error}. Check the rights of this user, the number "
        raise TopicError(text + "of brokers (replication) and the names.") from error
    return [created.get(spec.name) or changed[spec.name] for spec in specs]


def _create(admin: KafkaAdminClient, specs: list[TopicSpec]) -> dict[str, TopicOutcome]:
    outcomes = {}
    for spec in specs:
        wanted = {
            "num_partitions": spec.partitions,
            "replication_factor": spec.replication,
            "configs": spec.configs,
        }
        try:
            admin.create_topics({spec.name: wanted})
        except TopicAlreadyExistsError:  # another process was faster, with the same settings as ours
            outcomes[spec.name] = TopicOutcome(spec.name, "unchanged")
        else:
            outcomes[spec.name] = TopicOutcome(spec.name, "created")
    if outcomes:
        admin.wait_for_topics(list(outcomes), timeout_ms=_READY_MS)
    return outcomes


def _align(admin: KafkaAdminClient, specs: list[TopicSpec]) -> dict[str, TopicOutcome]:
    configs = topic_configs(admin, [spec.name for spec in specs])
    outcomes = {}
    for spec in specs:
        changes = _different(spec, configs[spec.name])
        if changes:
            new = {key: after for key, (_, after) in changes.items()}
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, spec.name, new)])
            _wait_visible(admin, spec)
        outcomes[spec.name] = TopicOutcome(spec.name, "changed" if changes else "unchanged", changes)
    return outcomes


def _wait_visible(admin: KafkaAdminClient, spec: TopicSpec) -> None:
    """Wait until the brokers, who learn of a change from the controller a moment later, describe it."""
    deadline = time.monotonic() + _READY_MS / 1000
    while _different(spec, topic_configs(admin, [spec.name])[spec.name]):
        if time.monotonic() > deadline:
            text = f"{spec.name}: the brokers accepted new settings and still show the old; look at the controller"
            raise TopicError(text)
        time.sleep(_LOOK_SECONDS)


def check_topics(admin: KafkaAdminClient, specs: Iterable[TopicSpec]) -> list[TopicFinding]:
    """Compare the topics with what they must be, changing nothing; one finding per difference, or one that says ok."""
    specs = list(specs)
    described = _described(admin, [spec.name for spec in specs])
    configs = topic_configs(admin, described)
    findings = []
    for spec in specs:
        if spec.name not in described:
            text = "does not exist; run: muse-stream topics create"
            findings.append(TopicFinding(spec.name, ok=False, text=text))
            continue
        wrong = _differences(spec, described[spec.name]["partitions"], configs[spec.name])
        findings += [TopicFinding(spec.name, ok=False, text=text) for text in wrong]
        if not wrong:
            text = f"{spec.partitions} partitions, settings as expected"
            findings.append(TopicFinding(spec.name, ok=True, text=text))
    return findings


def _differences(spec: TopicSpec, partitions: list[dict[str, Any]], configs: dict[str, str]) -> list[str]:
    wrong = []
    if len(partitions) != spec.partitions:
        found_count = _partition_mismatch(spec, len(partitions))
        wrong.append(f"{found_count}; set the partition count to what the topics have, or name other topics")
    fewest = min(len(partition["replica_nodes"]) for partition in partitions)
    if fewest < spec.replication:
        text = f"{fewest} replicas, expected {spec.replication}; reassign its partitions with Kafka's own tools"
        wrong.append(text)
    leaderless = [partition["partition_index"] for partition in partitions if partition["leader_id"] < 0]
    if leaderless:
        wrong.append(f"partitions {leaderless} have no leader; look at the brokers that hold them")
    for key, (found, wanted) in _different(spec, configs).items():
        wrong.append(f"{key}={found or 'unset'}, expected {wanted}; run: muse-stream topics create")
    return wrong
