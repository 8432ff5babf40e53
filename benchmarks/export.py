"""Samples per second that `muse-stream export` makes, at histories of 1 000.

A log in memory: users with `history` behaviours each, in frames, then impressions that come with new behaviours of the
same users between them, slates of `slate` candidates at one moment. Everything else is what the command does: decoding,
scratch stores, items, the engine's search, columns, ZSTD shards on disk. The broker is left out. Without peers.
"""

import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from muse_stream.benchmarks.report import Row
from muse_stream.esu_scorer import FeatureSpec
from muse_stream.streams.export.cluster import Cluster, ClusterWorld, Setting
from muse_stream.streams.export.columns import Columns
from muse_stream.streams.export.impressions import Impressions
from muse_stream.streams.export.past import Horizon
from muse_stream.streams.export.replay import replay
from muse_stream.streams.export.run import Summary, write
from muse_stream.streams.export.sampler import Shape
from muse_stream.streams.export.shards import Shards
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.encode import encode_behaviours, encode_item
from muse_stream.streams.wire.partitioner import partition_of_users

START_MS, DIMENSION, ITEMS = 1_700_000_000_000, 128, 20_000
SHAPE = Shape(FeatureSpec.of({"item": 16, "category": 16}, {"country": 16}), 50, 50, "v1")
Partition = tuple[str, int]
Frames = list[tuple[bytes, bytes | None, int]]


class MemoryLog:
    """`TapeReader` over records in memory: key, value, broker time; behaviours are frames."""

    def __init__(self, records: Mapping[Partition, Frames]) -> None:
        self._records = records
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read from these offsets."""
        self._positions, self._paused = dict(offsets), set()

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """The next 2 000 records of each partition that is not paused."""
        del timeout_ms
        found = []
        for at, position in self._positions.items():
            records = self._records[at][position : position + min(2_000, max_records)]
            if at not in self._paused and records:
                self._positions[at] = position + len(records)
                found.append(_batch(at, records, position))
        return found

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these."""
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Deliver again."""
        self._paused -= set(partitions)

    def beginning_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Zero."""
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Lengths."""
        return {at: len(self._records.get(at, ())) for at in partitions}


def run(
    *, samples: int = 20_000, users: int = 500, history: int = 1_000, slate: int = 10, threads: int = 0
) -> list[Row]:
    """Rows of one export from a log, and of one with a moment for every sample.

    Args:
        samples: Impressions.
        users: Distinct users.
        history: Behaviours of each before the first impression.
        slate: Candidates at one moment.
        threads: Of the search; 0: one per core.

    """
    rows = []
    for candidates in dict.fromkeys((slate, 1)):
        shows, records = _world(samples, users, history, candidates)
        begun = time.perf_counter()
        summary = _export(shows, MemoryLog(records), threads)
        seconds = time.perf_counter() - begun
        name = f"{candidates} candidates at a moment, histories of {history}"
        told = f"export, {name}, {users * history} behaviours replayed first"
        rows.append(Row(told, summary.samples / seconds, "samples/s"))
    return rows


def _export(shows: Impressions, log: MemoryLog, threads: int) -> Summary:
    settings = Settings.load(
        None,
        {"topics.partitions": 1, "items.spaces": {"v1": DIMENSION}, "features.user": ["country"], "features.item": []}
        | {"engine.threads": threads, "engine.backend": "cpu"},
    )
    never = Horizon(compacted=False, before_ms=0)
    cluster = Cluster("bench", {settings.topics.users: never, settings.topics.items: never})
    setting = Setting(settings, SHAPE, cluster, "log", 1_000, (0,))
    with tempfile.TemporaryDirectory() as directory:
        shards = Shards(Path(directory), "train")
        return write(shows, replay(shows, lambda: ClusterWorld(setting, log)), Columns(SHAPE, "released"), shards)


def _world(samples: int, users: int, history: int, slate: int) -> tuple[Impressions, dict[Partition, Frames]]:
    dice = np.random.default_rng(1)
    frames: Frames = []
    who = np.repeat(np.arange(1, users + 1), history)
    _add(frames, who, dice, START_MS)
    moments = -(-samples // slate)
    shown = dice.integers(1, users + 1, moments)
    for number in range(moments):
        _add(frames, dice.integers(1, users + 1, 5), dice, START_MS + 10 * number + 5)
    rows = np.arange(samples)
    owners = shown[rows // slate]
    shows = Impressions(
        row=rows + 1,
        user=owners,
        partition=partition_of_users(owners, 1),
        item=dice.integers(1, ITEMS + 1, samples),
        time_ms=START_MS + 10 * (rows // slate + 1),
        label=dice.random(samples) < 0.2,
        positions=None,
        request=None,
    )
    vectors = dice.integers(-127, 128, (ITEMS, DIMENSION), np.int8)
    items: Frames = [
        (*encode_item(item, category=item % 90 + 1, vector=vectors[item - 1]), START_MS) for item in range(1, ITEMS + 1)
    ]
    return shows, {("behaviours", 0): frames, ("items", 0): items, ("users", 0): []}


def _add(frames: Frames, users: np.ndarray[tuple[int], np.dtype[np.int64]], dice: np.random.Generator, at: int) -> None:
    count = len(users)
    columns = (users, dice.integers(1, ITEMS + 1, count), np.full(count, at), np.ones(count, np.uint8))
    for frame in encode_behaviours(*columns, partition_count=1):
        frames.append((frame.key, frame.value, at))


def _batch(at: Partition, records: Frames, position: int) -> RecordBatch:
    headers = [("muse-format", b"frame/1")] if at[0] == "behaviours" else None
    count = len(records)
    return RecordBatch(
        topic=at[0],
        partition=at[1],
        keys=[key for key, _, _ in records],
        values=[value for _, value, _ in records],
        headers=[headers] * count,
        offset=np.arange(position, position + count),
        broker_time_ms=np.array([time_ms for _, _, time_ms in records], np.int64),
        next_offset=position + count,
    )
