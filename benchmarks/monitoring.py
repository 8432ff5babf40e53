"""What metrics cost: CPU of ingest and of a request with them on and off, and a scrape.

Ingest is the worker's own pump over a log in memory: decode, store, observe, every behaviour live. Rounds with metrics
on and off take turns, each on a store of its own, and the CPU time of the thread is what is compared, so that the
figures mean something on a busy machine too. A difference of rounds still wavers by some per cent; the time of the
observer by itself, as a share of what ingest takes without it, does not.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np

from muse_stream.benchmarks.append import zipf_users
from muse_stream.benchmarks.ingest import Columns, NoEngine, json_records
from muse_stream.benchmarks.monitoring_scrape import scrape
from muse_stream.benchmarks.report import Row, lower_is_better
from muse_stream.monitoring import Metrics
from muse_stream.monitoring.catalogue import REQUEST_STAGES
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.feeds import BehaviourFeed
from muse_stream.streams.ingest.ports import TopicPartition
from muse_stream.streams.ingest.pump import Pump, PumpHooks
from muse_stream.streams.ingest.sizing import BatchSizer
from muse_stream.streams.ingest.status import BatchStats
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours, warm_up
from muse_stream.streams.wire.encode import encode_behaviours
from muse_stream.streams.wire.rejects import Reason

AT = TopicPartition("behaviours", 0)
NOW_MS = 1_700_000_000_000
EVENT_AGE_MS, BROKER_AGE_MS, SPREAD = 800.0, 25.0, 0.7
"""Medians of what is live, and the spread of their logarithms."""
FOUND = 50
REQUESTS = 500
"""In a round."""
OFF = "metrics off"


@dataclass(frozen=True, slots=True)
class Case:
    """A form of the log: JSON records or frames of 1 000 behaviours, so many behaviours a batch, batches a round."""

    name: str
    rows: int
    batches: int
    frames: bool = False


CASES = (
    Case("JSON, batches of 100", 100, 60),
    Case("JSON, batches of 1 000", 1_000, 10),
    Case("JSON, batches of 20 000", 20_000, 1),
    Case("frames, batches of 50 000", 50_000, 1, frames=True),
)


def run(*, rounds: int = 101, quick: bool = False) -> list[Row]:
    """Rows of CPU per behaviour and per request, with metrics on and off, then a scrape of a worker.

    Args:
        rounds: Rounds of each case, on and off.
        quick: A tenth of the rounds, for a look.

    """
    rounds = max(3, rounds // 10) if quick else rounds
    warm_up()
    rows = [row for case in CASES for row in _ingest(case, rounds)]
    rows += [_request(candidates, rounds) for candidates in (20, 200, 2_000)]
    return [*rows, *scrape()]


def metrics(*, enabled: bool) -> Metrics:
    """As a worker's."""
    return Metrics(reasons=map(str, Reason), outcomes=map(str, Status), version="benchmark", enabled=enabled)


def _ingest(case: Case, rounds: int) -> list[Row]:
    seen: list[BatchStats] = []
    observer, silent = metrics(enabled=True).ingest.batch, metrics(enabled=False).ingest.batch
    off, on = [], []
    with tempfile.TemporaryDirectory() as scratch:
        sides = (_Side(Path(scratch) / "off", silent, off), _Side(Path(scratch) / "on", observer, on))
        keep = _Side(Path(scratch) / "kept", seen.append, [])
        for number in range(rounds + 1):
            log = _log(case, number)
            for side in sides if number % 2 else sides[::-1]:
                side.round(log)
            if number < 2:
                keep.round(log)
        for side in (*sides, keep):
            side.store.close()
    rows = case.rows * case.batches
    plain, counted = (np.array(spent[1:]) / rows * 1e6 for spent in (off, on))  # the first round warms up
    alone = _thread_seconds(lambda: [observer(stats) for stats in seen], rounds) / sum(stats.rows for stats in seen)
    name, without = f"ingest, {case.name}", float(median(plain))
    return [
        lower_is_better(name, float(median(counted)), "CPU µs/behaviour", {OFF: without}),
        Row(f"{name}: more with metrics", (float(median(counted / plain)) - 1) * 100, "%"),
        Row(f"{name}: the observer by itself", alone * 1e6 / without * 100, "%"),
    ]


class _Side:
    """A pump on a store of its own, which hands its stats to one observer."""

    def __init__(self, directory: Path, observe: Callable[[BatchStats], Any], spent: list[float]) -> None:
        self.store = BehaviourStore.open(directory, StoreIdentity("benchmark", *AT, 1), Rules())
        decode = partial(decode_behaviours, rules=BehaviourRules(partition_count=1))
        cursor = Cursor(AT, BehaviourFeed(self.store, NoEngine(), decode), target=0, end=0, end_seen_ms=0, serving=True)
        self._tape, self._spent = _Tape(), spent
        hooks = PumpHooks(observe, lambda _: None, _fail)
        clock = Clock(time.monotonic, lambda: NOW_MS, time.sleep)
        parts = cast("Any", self._tape)
        self._pump = Pump(parts, parts, parts, sizer=BatchSizer(), hooks=hooks, clock=clock)
        self._pump.reassign([cursor])

    def round(self, log: list[RecordBatch]) -> None:
        """Read these batches, and note the thread's time."""
        self._tape.left = log[::-1]
        began = time.thread_time()
        for _ in log:
            self._pump.turn(0.0, serving=False)
        self._spent.append(time.thread_time() - began)


class _Tape:
    """What a pump reads and asks; no question has an answer yet."""

    def __init__(self) -> None:
        self.left: list[RecordBatch] = []

    def assign(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Begin."""

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """The next batch."""
        return [self.left.pop()]

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Take note."""

    def ends(self, partitions: object) -> "Future[Any]":
        """Do not answer."""
        return Future()

    look = ends


def _fail(at: TopicPartition, error: Exception) -> None:
    raise error


def _log(case: Case, number: int) -> list[RecordBatch]:
    """The batches of a round."""
    rng = np.random.default_rng(number)
    count, size = case.rows * case.batches, case.rows // 1_000 if case.frames else case.rows
    data = Columns(
        user=zipf_users(rng, count),
        item=rng.integers(1, 10_000_000, count),
        time_ms=NOW_MS - rng.lognormal(np.log(EVENT_AGE_MS), SPREAD, count).astype(np.int64),
        action=rng.integers(0, 6, count).astype(np.uint8),
    )
    if case.frames:
        frames = list(encode_behaviours(data.user, data.item, data.time_ms, data.action, partition_count=1))
        records = [(frame.key, frame.value, frame.headers) for frame in frames]
    else:
        pairs = [pair for keys, values in json_records(data) for pair in zip(keys, values, strict=True)]
        records = [(key, value, None) for key, value in pairs]
    first = number * len(records)
    return [_batch(records[at : at + size], first + at, rng) for at in range(0, len(records), size)]


def _batch(records: list[Any], first: int, rng: np.random.Generator) -> RecordBatch:
    ages = np.sort(rng.lognormal(np.log(BROKER_AGE_MS), SPREAD, len(records)))[::-1].astype(np.int64)
    keys, values, headers = map(list, zip(*records, strict=True))
    offsets = np.arange(first, first + len(records))
    return RecordBatch(*AT, keys, values, headers, offsets, NOW_MS - ages, first + len(records))


def _request(candidates: int, rounds: int) -> Row:
    """Everything that is counted for a request that has its pass alone, on and off by turns."""
    rng = np.random.default_rng(candidates)
    cosines = -np.sort(-rng.uniform(-1, 1, (candidates, FOUND)).astype(np.float32))
    scores = rng.beta(1, 6, candidates).astype(np.float32)
    counts = np.full(candidates, FOUND, np.int32)
    stages = {stage: float(rng.lognormal(-7, 1)) for stage in REQUEST_STAGES}
    sizes = {"candidates": candidates, "history": 12_345}

    def count(told: Metrics) -> None:
        for _ in range(REQUESTS):
            told.quality.retrieved(cosines, counts, without_vector=1)
            told.quality.scored(scores)
            told.requests.passed(1, 0.004, 0.005)
            told.requests.answered("ok", 0.0123, stages, **sizes)
            told.requests.left_out(())

    on, off = metrics(enabled=True), metrics(enabled=False)
    spent = [(_thread_seconds(lambda: count(on)), _thread_seconds(lambda: count(off))) for _ in range(rounds)]
    figure = median(one - other for one, other in spent) / REQUESTS * 1e6
    return Row(f"all metrics of a request, {candidates} candidates", figure, "CPU µs")


def _thread_seconds(work: Callable[[], Any], rounds: int = 1) -> float:
    """Median CPU time of this thread."""
    took = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        took.append(time.thread_time() - began)
    return median(took)
