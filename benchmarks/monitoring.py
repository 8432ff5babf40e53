"""What metrics cost: CPU of ingest and of a request with them on and off, and a scrape.

Ingest is the worker's own pump over a log in memory: decode, store, observe, every behaviour live. Rounds with metrics
on and off take turns, each on a store of its own, and the CPU time of the thread is what is compared, so that the
figures mean something on a busy machine too. A difference of rounds still wavers by some per cent; the time within the
observer, as a share of its rounds, does not. A request is counted with caches that other things have filled meanwhile.
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
REQUESTS = 40
"""In a round."""
DUST_BYTES = 4 << 20
"""Read between two requests, as a pass would: more than the caches of a core hold."""
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
    with tempfile.TemporaryDirectory() as scratch:
        off = _Side(Path(scratch) / "off", metrics(enabled=False).ingest.batch)
        on = _Side(Path(scratch) / "on", metrics(enabled=True).ingest.batch)
        for number in range(rounds):
            log = _log(case, number)
            for side in (off, on) if number % 2 else (on, off):
                side.round(log)
        for side in (off, on):
            side.store.close()
    name, rows = f"ingest, {case.name}", case.rows * case.batches
    plain, counted, within = (np.array(spent) for spent in (off.spent, on.spent, on.within))
    with_metrics, without = (float(median(spent)) / rows * 1e6 for spent in (counted, plain))
    return [
        lower_is_better(name, with_metrics, "CPU µs/behaviour", {OFF: without}),
        Row(f"{name}: more with metrics", (float(median(counted / plain)) - 1) * 100, "%"),
        Row(f"{name}: within the observer", float(within.sum() / counted.sum()) * 100, "%"),
    ]


class _Side:
    """A pump on a store of its own, which hands its stats to one observer.

    Attributes:
        spent: CPU seconds of each round.
        within: Those of them within the observer.

    """

    def __init__(self, directory: Path, observe: Callable[[BatchStats], Any]) -> None:
        self.store = BehaviourStore.open(directory, StoreIdentity("benchmark", *AT, 1), Rules())
        decode = partial(decode_behaviours, rules=BehaviourRules(partition_count=1))
        cursor = Cursor(AT, BehaviourFeed(self.store, NoEngine(), decode), target=0, end=0, end_seen_ms=0, serving=True)
        self._tape, self._observe = _Tape(), observe
        self.spent: list[float] = []
        self.within: list[float] = []
        hooks = PumpHooks(self._told, lambda _: None, _fail)
        clock = Clock(time.monotonic, lambda: NOW_MS, time.sleep)
        parts = cast("Any", self._tape)
        self._pump = Pump(parts, parts, parts, sizer=BatchSizer(), hooks=hooks, clock=clock)
        self._pump.reassign([cursor])

    def round(self, log: list[RecordBatch]) -> None:
        """Read these batches, and note the thread's time."""
        self._tape.left = log[::-1]
        self.within.append(0.0)
        began = time.thread_time()
        for _ in log:
            self._pump.turn(0.0, serving=False)
        self.spent.append(time.thread_time() - began)

    def _told(self, stats: BatchStats) -> None:
        began = time.thread_time()
        self._observe(stats)
        self.within[-1] += time.thread_time() - began


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
        frames = encode_behaviours(data.user, data.item, data.time_ms, data.action, partition_count=1)
        records: list[Any] = [(frame.key, frame.value, frame.headers) for frame in frames]
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
    dust = np.zeros(DUST_BYTES, np.uint8)
    cosines = -np.sort(-rng.uniform(-1, 1, (candidates, FOUND)).astype(np.float32))
    scores = rng.beta(1, 6, candidates).astype(np.float32)
    counts = np.full(candidates, FOUND, np.int32)
    stages = {stage: float(rng.lognormal(-7, 1)) for stage in REQUEST_STAGES}
    sizes = {"candidates": candidates, "history": 12_345}

    def count(told: Metrics) -> float:
        dust.sum()
        began = time.thread_time()
        told.quality.retrieved(cosines, counts, without_vector=1)
        told.quality.scored(scores)
        told.requests.passed(1, 0.004, 0.005)
        told.requests.answered("ok", 0.0123, stages, **sizes)
        told.requests.left_out(())
        return time.thread_time() - began

    on, off = metrics(enabled=True), metrics(enabled=False)
    more = [sum(count(on) - count(off) for _ in range(REQUESTS)) / REQUESTS for _ in range(rounds)]
    return Row(f"all metrics of a request, {candidates} candidates", median(more) * 1e6, "CPU µs")
