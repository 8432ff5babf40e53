"""Logs in lists, a reader of them, and the export's own way from them to samples."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from muse_stream.esu_scorer import FeatureSpec
from muse_stream.streams.audit.decoding import Record
from muse_stream.streams.export.cluster import Cluster, ClusterWorld, Setting, partitions_of
from muse_stream.streams.export.columns import Columns, Taken
from muse_stream.streams.export.impressions import Impressions
from muse_stream.streams.export.past import Horizon
from muse_stream.streams.export.replay import LeftOut, replay
from muse_stream.streams.export.sampler import Shape
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.encode import encode_behaviour, encode_item, encode_user
from muse_stream.streams.wire.ids import Id, id_of, key_of
from muse_stream.streams.wire.partitioner import partition_of_key

START_MS = 1_700_000_000_000
DIMENSION, PARTITIONS = 64, 2
SHAPE = Shape(FeatureSpec.of({"item": 4, "category": 4, "brand": 4}, {"country": 4, "band": 4}), 3, 2, "v1")
Partition = tuple[str, int]


@dataclass
class Logs:
    """Records by topic partition; `hidden` offsets hold nothing that readers see."""

    records: dict[Partition, list[Record]] = field(default_factory=dict)
    hidden: set[tuple[str, int, int]] = field(default_factory=set)
    begin: dict[Partition, int] = field(default_factory=dict)

    def add(self, topic: str, partition: int, time_ms: int, key: bytes, value: bytes | None) -> int:
        log = self.records.setdefault((topic, partition), [])
        log.append(Record(len(log), time_ms, key, value, ()))
        return len(log)

    def behave(self, user: Id, item: Id, at_ms: int, **more: Any) -> int:
        key, value = encode_behaviour(user, item, more.pop("time_ms", at_ms), more.pop("action", 1), **more)
        return self.add("behaviours", partition_of(user), at_ms, key, value)

    def erase(self, user: Id, at_ms: int) -> int:
        return self.add("behaviours", partition_of(user), at_ms, key_of(user), None)

    def profile(self, user: Id, features: Mapping[str, Id] | None, at_ms: int) -> int:
        key, value = encode_user(user, features or {})
        return self.add("users", partition_of(user), at_ms, key, value if features is not None else None)

    def item(self, item: Id, at_ms: int, **more: Any) -> int:
        return self.add("items", 0, at_ms, *encode_item(item, **more))

    def seen(self, at: Partition) -> list[Record]:
        return [one for one in self.records.get(at, []) if (*at, one.offset) not in self.hidden]


class ListReader:
    """`TapeReader` over lists; `most` records of a partition a poll."""

    def __init__(self, logs: Logs, most: int = 7) -> None:
        self.logs, self.most = logs, most
        self.positions: dict[Partition, int] = {}
        self.paused: set[Partition] = set()

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        self.positions, self.paused = dict(offsets), set()

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        batches = []
        for at, position in self.positions.items():
            end = min(position + min(self.most, max_records), len(self.logs.records.get(at, [])))
            if at not in self.paused and end > position:
                batches.append(batch_of(at, [one for one in self.logs.seen(at) if position <= one.offset < end], end))
                self.positions[at] = end
        return batches

    def pause(self, partitions: Iterable[Partition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        self.paused -= set(partitions)

    def beginning_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {at: self.logs.begin.get(at, 0) for at in partitions}

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {at: len(self.logs.records.get(at, [])) for at in partitions}


def batch_of(at: Partition, found: list[Record], end: int) -> RecordBatch:
    return RecordBatch(
        topic=at[0],
        partition=at[1],
        keys=[one.key for one in found],
        values=[one.value for one in found],
        headers=[None for _ in found],
        offset=np.array([one.offset for one in found], np.int64),
        broker_time_ms=np.array([one.broker_time_ms for one in found], np.int64),
        next_offset=end,
    )


def partition_of(user: Id) -> int:
    return partition_of_key(key_of(user), PARTITIONS)


def settings_of(**more: Any) -> Settings:
    return Settings.load(
        None,
        {
            "topics.partitions": PARTITIONS,
            "items.spaces": {"v1": DIMENSION},
            "items.table_budget_bytes": 1 << 20,
            "features.item": ["brand"],
            "features.user": ["country", "band"],
            "engine.backend": "reference",
            "engine.pool_bytes": 1 << 20,
            "state.block_cache_bytes": 1 << 20,
            "state.write_buffer_bytes": 8 << 20,
            **more,
        },
    )


def shown(rows: Sequence[tuple[Id, Id, int]], positions: Sequence[Sequence[int]] | None = None) -> Impressions:
    """Impressions (user, item, time), every other one taken."""
    return Impressions(
        row=np.arange(1, len(rows) + 1),
        user=np.array([id_of(user) for user, _, _ in rows], np.int64),
        partition=np.array([partition_of(user) for user, _, _ in rows], np.int32),
        item=np.array([id_of(item) for _, item, _ in rows], np.int64),
        time_ms=np.array([time_ms for _, _, time_ms in rows], np.int64),
        label=np.arange(len(rows)) % 2 == 0,
        positions=None if positions is None else np.array(positions, np.int64).reshape(-1, 3),
        request=None,
    )


def setting_of(settings: Settings, impressions: Impressions, **more: Any) -> Setting:
    horizons = {"users": Horizon(False, 0), "items": Horizon(False, 0)}
    cluster = Cluster("cluster", more.pop("horizons", horizons))
    made = {"origin": "log", "length": 1_000, "partitions": partitions_of(impressions.partition.tolist())}
    return Setting(settings, SHAPE, cluster, **{**made, **more})


def run(logs: Logs, impressions: Impressions, settings: Settings | None = None, **more: Any) -> "Ran":
    setting = setting_of(settings or settings_of(), impressions, **more)
    found = list(replay(impressions, lambda: ClusterWorld(setting, ListReader(logs))))
    return Ran(impressions, found)


@dataclass
class Ran:
    """What came out."""

    impressions: Impressions
    found: list[Taken | LeftOut]

    @property
    def left_out(self) -> dict[int, str]:
        """Row in the file -> reason."""
        gone = [one for one in self.found if isinstance(one, LeftOut)]
        return {int(row) + 1: one.reason.value for one in gone for row in one.rows}

    @property
    def table(self) -> pa.Table:
        taken = [one for one in self.found if isinstance(one, Taken)]
        return Columns(SHAPE, "own").table(taken, self.impressions)

    @property
    def samples(self) -> dict[int, dict[str, Any]]:
        """Row in the file -> its sample."""
        if not any(isinstance(one, Taken) for one in self.found):
            return {}
        return {sample["row"]: sample for sample in self.table.to_pylist()}


def vector(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return np.random.default_rng(seed).integers(-127, 128, DIMENSION, np.int8)


def mixed(seed: int, count: int = 150, *, erasures: bool = True) -> Logs:
    """All kinds of records, with a clock that stands still, jumps and goes back a little."""
    dice, logs, now = random.Random(seed), Logs(), START_MS
    users: list[Id] = [1, 2, 3, "anna", "bert"]
    for number in range(count):
        now += dice.choice([0, 0, 0, 1, 2, 500, 3_000])
        at_ms, user, what = now - dice.choice([0, 0, 0, 2]), dice.choice(users), dice.random()
        if what < 0.04 and erasures:
            logs.erase(user, at_ms)
        elif what < 0.08:
            logs.add("behaviours", partition_of(user), at_ms, key_of(user), b"poison")
        elif what < 0.2:
            profiles: list[dict[str, Id] | None] = [None, {"country": number + 1}, {"country": 7, "band": "low"}]
            logs.profile(user, dice.choice(profiles), at_ms)
        elif what < 0.4:
            more = {"vector": vector(number)} if dice.random() < 0.7 else {}
            logs.item(dice.randint(1, 9), at_ms, category=dice.randint(0, 5), features={"brand": number}, **more)
        else:
            category, event = dice.choice([None, 3]), dice.choice([None, *"abcdef"])
            time_ms = at_ms - dice.choice([0, 90_000])
            logs.behave(user, dice.randint(1, 12), at_ms, time_ms=time_ms, category=category, event_id=event)
    return logs
