"""The running mode: a process beside the workers that computes the answers of some users again as they come.

It reads behaviours, users and items from their beginnings, keeps what belongs to the sampled users, and takes answers
from the moment on at which it has caught up. Nothing is kept on disk; started again, it begins again.

Invariant: logs are read without a group and nothing is written to any topic.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TextIO

import msgspec

from muse_stream.monitoring.logs import UserTags, fields
from muse_stream.monitoring.verification import VerificationMetrics, VerificationReading
from muse_stream.streams.export.cluster import codecs_of, engine_of, item_codec, open_reader, store_rules
from muse_stream.streams.kafka.consumer import BatchConsumer
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.settings import Settings
from muse_stream.streams.verify.compare import Verdict
from muse_stream.streams.verify.exchanges import request_rules
from muse_stream.streams.verify.held import HeldItems
from muse_stream.streams.verify.live import LiveVerifier, Partition, State
from muse_stream.streams.verify.models import Models
from muse_stream.streams.verify.reasons import Unknown
from muse_stream.streams.verify.rebuild import Rebuilder, tables_of
from muse_stream.streams.verify.report import Mismatch, Report
from muse_stream.streams.verify.sampled import SampledPartition
from muse_stream.streams.verify.waiting import WaitingRoom

POLL_RECORDS, POLL_MS = 10_000, 200
LOOK_SECONDS = 2.0
"""So often it is asked where the logs end."""
SUMMARY_SECONDS = 60.0
CATCH_UP_SECONDS = 10.0
REQUESTS_BACK = 10_000
"""Requests of a partition that are read from before the start: those whose answers are still to come are among them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """What is followed: the share of users, how long an answer waits, where every mismatch is written."""

    share: float
    hold_seconds: float
    mismatches: TextIO | None = None


@dataclass(slots=True)
class Follower:
    """Follows the logs of one cluster over one connection, in one thread.

    Attributes:
        report: What came out so far.
        metrics: The same for Prometheus.
        ready: Whether it has caught up and takes answers.

    """

    settings: Settings
    models: Models
    sample: Sample
    reader: BatchConsumer
    report: Report = field(default_factory=Report)
    ready: bool = False
    metrics: VerificationMetrics = field(init=False)
    _live: LiveVerifier = field(init=False)
    _ends: Mapping[Partition, int] = field(default_factory=dict)
    _positions: dict[Partition, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        state = state_of(self.settings, self.models, self.sample.share)
        self._live = LiveVerifier(state, self.sample.share, self.sample.hold_seconds)
        self.metrics = VerificationMetrics(reasons=Unknown, read=self.reading)

    def run(self, go_on: Callable[[], bool]) -> Report:
        """Catch up, then follow, as long as `go_on` says so.

        Raises:
            PositionError: A log lost records before they were read.
            UnreachableError: The brokers refuse us.

        """
        begun = time.monotonic()
        if self._catch_up(go_on):
            self._follow(go_on)
        for reason in self._live.end():
            self._count(reason)
        self.report.answers = self.report.computed
        self.report.finish(time.monotonic() - begun)
        return self.report

    def reading(self) -> VerificationReading:
        """Where it stands."""
        oldest = self._live.waiting.oldest
        waited = 0.0 if oldest is None else time.monotonic() - oldest
        names = self._names()
        lags = dict.fromkeys(names.values(), 0)
        for (topic, partition), end in self._ends.items():
            lags[names[topic]] += max(0, end - self._positions.get((topic, partition), 0))
        return VerificationReading(len(self._live.waiting), waited, lags)

    def _names(self) -> dict[str, str]:
        """What each topic is for, by its full name."""
        topics = self.settings.topics
        return {getattr(topics, role): role for role in ("behaviours", "users", "items", "requests", "scores")}

    def _catch_up(self, go_on: Callable[[], bool]) -> bool:
        """Read the logs of the state to their ends as they are now; False where that was given up."""
        logs = self._logs()
        begins, self._ends = self.reader.beginning_offsets(logs), self.reader.end_offsets(logs)
        self._positions = dict(begins)
        self.reader.assign(begins)
        told = time.monotonic()
        while any(self._positions[at] < self._ends[at] for at in logs):
            if not go_on():
                return False
            for records in self.reader.poll(POLL_RECORDS, POLL_MS):
                self._live.read_before(records)
                self._positions[records.topic, records.partition] = records.next_offset
            if time.monotonic() - told > CATCH_UP_SECONDS:
                told = time.monotonic()
                log.info("catching up: %d of %d offsets", sum(self._positions.values()), sum(self._ends.values()))
        topic = self.settings.topics.behaviours
        cut = [partition for (name, partition), begin in begins.items() if name == topic and begin > 0]
        self._begin(cut)
        return True

    def _begin(self, cut: list[int]) -> None:
        """Read requests and answers as well, from now on."""
        topics, count = self.settings.topics, range(self.settings.topics.partitions)
        scores = self.reader.end_offsets([(topics.scores, number) for number in count])
        asked = [(topics.requests, number) for number in count]
        first, last = self.reader.beginning_offsets(asked), self.reader.end_offsets(asked)
        requests = {at: max(first[at], last[at] - REQUESTS_BACK) for at in asked}
        self._positions |= scores | requests
        self._ends = {**self._ends, **scores, **last}
        self._live.begin(cut)
        self.reader.assign(self._positions)
        self.ready = True
        log.info("caught up: answers of %.3g of the users are verified from now on", self.sample.share)
        if cut:
            log.warning("partitions %s have lost the beginning of their log: not rebuildable", cut)

    def _follow(self, go_on: Callable[[], bool]) -> None:
        looked = told = time.monotonic()
        while go_on():
            batches = self.reader.poll(POLL_RECORDS, POLL_MS)
            now = time.monotonic()
            for records in batches:
                self._read(records, now)
            if now - looked > LOOK_SECONDS:
                looked, self._ends = now, self._look()
            for found in self._live.turn(now, self._ends):
                self._count(found)
            if now - told > SUMMARY_SECONDS:
                told = now
                self._summarise()

    def _look(self) -> Mapping[Partition, int]:
        """Where the logs end; as last known while the brokers are away."""
        try:
            return self.reader.end_offsets(list(self._positions))
        except Exception:
            log.warning("the brokers do not say where the logs end; asking again", exc_info=True)
            return self._ends

    def _read(self, records: RecordBatch, now: float) -> None:
        for reason in self._live.read(records, now):
            self._count(reason)
        self._positions[records.topic, records.partition] = records.next_offset

    def _count(self, found: Verdict | Unknown) -> None:
        if isinstance(found, Unknown):
            self.report.left_out(found)
            self.metrics.left_out(found)
            return
        mismatches = self.report.add(found)
        self.metrics.compared(
            found.compared, found.mismatched(), near_step=len(found.near_step), no_model=found.model_unknown
        )
        self._tell(mismatches)

    def _tell(self, mismatches: list[Mismatch]) -> None:
        for mismatch in mismatches:
            if self.sample.mismatches is not None:
                self.sample.mismatches.write(msgspec.json.encode(mismatch).decode() + "\n")
                self.sample.mismatches.flush()
            if not mismatch.near_step:
                self._log_mismatch(mismatch)

    def _log_mismatch(self, mismatch: Mismatch) -> None:
        """Where to look, without the user and without what was answered; those are in the file of mismatches."""
        partition, offset = mismatch.behaviours
        tag = None if mismatch.user is None else UserTags(self.settings.app.name)(mismatch.user)
        log.error(
            "a served answer is not what the logs say; --out FILE writes what differs",
            extra=fields(
                request=mismatch.request_id,
                user=tag,
                partition=partition,
                offset=offset,
                what=mismatch.what,
                where=mismatch.where,
            ),
        )

    def _summarise(self) -> None:
        report = self.report
        log.info(
            "%d answers compared, %d mismatched, not rebuildable: %s, %d wait",
            *(report.compared, report.mismatched, report.not_rebuildable or "none", len(self._live.waiting)),
        )

    def _logs(self) -> list[Partition]:
        """The logs that the state is built from."""
        topics = self.settings.topics
        each = [(name, number) for name in (topics.behaviours, topics.users) for number in range(topics.partitions)]
        return [(topics.items, 0), *each]


def state_of(settings: Settings, models: Models, share: float) -> State:
    """An empty state of all partitions."""
    tables, codecs, rules = tables_of(settings), codecs_of(settings), store_rules(settings)
    partitions = range(settings.topics.partitions)
    return State(
        settings.topics,
        {number: SampledPartition(codecs, rules, share) for number in partitions},
        HeldItems(tables, item_codec(settings)),
        WaitingRoom(request_rules(settings)),
        Rebuilder(tables, lambda space: engine_of(settings, tables.spaces[space]), models),
    )


def follow(
    settings: Settings, models: Models, sample: Sample, go_on: Callable[[], bool], address: tuple[str, int] | None
) -> Report:
    """Follow the settings' cluster; metrics at the address, if any. Raises what `Follower.run` does, and OSError."""
    with closing(open_reader(settings)) as reader:
        follower = Follower(settings, models, sample, reader)
        stop = follower.metrics.serve(*address) if address else None
        try:
            return follower.run(go_on)
        finally:
            if stop:
                stop()
