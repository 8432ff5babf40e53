"""What the log says, by a reader and a model of the tests' own, and what a stopped worker's stores say.

Nothing here uses the product's consumers, decoders or stores' rules: plain kafka-python, json, struct, dictionaries.
"""

import hashlib
import json
import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from muse_stream.state.moment import StoreReader
from tests.streams.worker.installation import Installation

ACTIONS = {"impression": 0, "click": 1, "cart": 2, "favourite": 3, "purchase": 4, "return": 5}
FRAME = [("muse-format", b"frame/1")]
Row = tuple[int, int, int, int]
"""Item, time in ms, action, category (0 = not sent)."""
Arrived = tuple[int, int, int, int, int]
"""The same, and the partition's latest broker time when it came, in whole seconds."""


def read_topic(installation: Installation, topic: str) -> list[Any]:
    """Every committed record of a topic, partition by partition, as kafka-python gives them."""
    security = installation.settings.kafka.security.kafka_python()
    consumer = KafkaConsumer(
        bootstrap_servers=installation.settings.kafka.brokers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
        **security,
    )
    try:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        found = []
        while any(consumer.position(place) < ends[place] for place in places):
            for records in consumer.poll(timeout_ms=200).values():
                found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        consumer.close()


@dataclass
class Told:
    """One user: every row by its sequence number, and the live window after each record that changed it."""

    rows: list[Arrived] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    windows: list[tuple[int, int]] = field(default_factory=list)

    def note(self, offset: int, start: int) -> None:
        self.offsets.append(offset)
        self.windows.append((start, len(self.rows)))

    def window(self, position: int) -> tuple[int, int]:
        """Start and stop of the live rows once everything below `position` is in."""
        known = bisect_left(self.offsets, position)
        return self.windows[known - 1] if known else (0, 0)


class LogModel:
    """What the behaviours log makes of every user; ids as numbers; what is no JSON is skipped."""

    def __init__(self, records: Iterable[Any], cap: int) -> None:
        self.users: dict[int, Told] = defaultdict(Told)
        self.partition: dict[int, int] = {}
        seen: set[tuple[int, Any]] = set()
        latest_ms: dict[int, int] = defaultdict(int)
        for record in records:
            for user, row, event in _rows(record):
                latest_ms[record.partition] = max(latest_ms[record.partition], record.timestamp)
                self.partition[user] = record.partition
                told = self.users[user]
                start = told.windows[-1][0] if told.windows else 0
                if row is None:
                    told.note(record.offset, len(told.rows))
                elif event is None or (user, event) not in seen:
                    seen.add((user, event))
                    told.rows.append((*row, latest_ms[record.partition] // 1_000))
                    told.note(record.offset, max(start, len(told.rows) - cap))

    def differences(self, path: Path, partition: int) -> list[str]:
        """Where the store at `path`, whose worker has stopped, is not what its log prefix says."""
        reader = StoreReader.open(path)
        try:
            held = set(reader.users().tolist())
            found = []
            for user in held | {user for user, at in self.partition.items() if at == partition}:
                start, stop = self.users[user].window(reader.position)
                sequence = reader.sequence(user)
                if (sequence.start, sequence.stop) != (start, stop):
                    found.append(f"{user}: {sequence.start}..{sequence.stop}, the log says {start}..{stop}")
                elif [tuple(row) for row in sequence.rows.tolist()] != self.users[user].rows[start:stop]:
                    found.append(f"{user}: other rows")
            return found
        finally:
            reader.close()


def _rows(record: Any) -> list[tuple[int, Row | None, Any]]:
    """User, row (None: erase) and event id of each behaviour in a record."""
    if record.value is None:
        return [(_id(record.key), None, None)]
    if list(record.headers) == FRAME:
        return _frame(record.value)
    try:
        value = json.loads(record.value)
    except ValueError:
        return []
    action = ACTIONS.get(value["action"], value["action"])
    row = value["item"], value["time_ms"], action, value.get("category") or 0
    return [(_id(record.key), row, value.get("event_id"))]


def _id(key: bytes) -> int:
    """A decimal key's number; other text by the published rule for ids."""
    text = key.decode()
    if text.lstrip("-").isdecimal():
        return int(text)
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little", signed=True)


def _frame(data: bytes) -> list[tuple[int, Row | None, Any]]:
    """A frame without categories and event ids: columns user, item, time, then actions."""
    (count,) = struct.unpack_from("<I", data, 8)
    columns = struct.unpack_from(f"<{3 * count}q", data, 16)
    users, items, times = columns[:count], columns[count : 2 * count], columns[2 * count :]
    actions = data[16 + 24 * count : 16 + 25 * count]
    return [(users[i], (items[i], times[i], actions[i], 0), None) for i in range(count)]


def copies(state: Path) -> dict[int, Path]:
    """The stores of behaviours partitions in a worker's state directory."""
    return {int(path.name.removeprefix("behaviours-")): path for path in state.glob("behaviours-*")}


def position_of(path: Path) -> int:
    """The next offset that the store of a stopped worker wants."""
    reader = StoreReader.open(path)
    try:
        return reader.position
    finally:
        reader.close()
