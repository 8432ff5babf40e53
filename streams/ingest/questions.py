"""What the broker is asked: which logs these are, where they begin and end, and what the group has committed.

Invariant: questions are asked in a thread and by a client of their own, so that the ingest thread never waits for a
broker that is away (a client may wait half a minute for one answer), nor for one of several that is.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from muse_stream.streams.errors import TopicError
from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.ports import LogBounds, LogFacts, LogReader, Partition
from muse_stream.streams.records import TopicFacts

REST_SECONDS = 1.0
"""Between two looks for a stop; a question ends it."""
CLOSE_SECONDS = 1.0
"""The thread is a daemon and holds nothing durable: who closes need not wait for a question without an answer."""


@dataclass(frozen=True, slots=True)
class LogAnswers:
    """What the brokers say of the logs asked for.

    Attributes:
        bounds: By partition; without those that their topic does not have.
        committed: Commits of the group, where there are any.
        cluster_id: The cluster's id; "" where nobody asked.
        topics: Ids and partition counts by topic; empty where nobody asked.
        high: Ends of the logs with the records of open transactions; empty where nobody asked.

    """

    bounds: Mapping[Partition, LogBounds]
    committed: Mapping[Partition, int] = field(default_factory=dict)
    cluster_id: str = ""
    topics: Mapping[str, TopicFacts] = field(default_factory=dict)
    high: Mapping[Partition, int] = field(default_factory=dict)


class Asks(Protocol):
    """What ingest needs; a simulation answers at once."""

    def logs(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        """Ask for everything."""

    def look(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        """Ask for everything but commits."""

    def ends(self, partitions: Sequence[Partition]) -> "Future[Mapping[Partition, int]]":
        """Ask for last stable offsets."""

    def close(self) -> None:
        """Ask no more."""


def ask_logs(
    reader: LogReader, facts: LogFacts | None, partitions: Sequence[Partition], now_ms: int, *, commits: bool
) -> LogAnswers:
    """Ask, and wait.

    Raises:
        TopicError: A topic does not exist.

    """
    cluster, topics, high = "", dict[str, TopicFacts](), dict[Partition, int]()
    if facts:
        cluster, topics = facts.cluster_id(), dict(facts.topics({topic for topic, _ in partitions}))
        _require({topic for topic, _ in partitions}, topics)
        partitions = [(topic, number) for topic, number in partitions if number < topics[topic].partitions]
        # Before the ends: what comes meanwhile is then not taken for held back.
        high = dict(facts.high_watermarks(partitions))
    begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    bounds = {at: LogBounds(begins[at], ends[at], now_ms) for at in partitions}
    return LogAnswers(bounds, reader.committed(partitions) if commits else {}, cluster, topics, high)


def _require(names: Set[str], topics: Mapping[str, TopicFacts]) -> None:
    missing = sorted(names - set(topics))
    if missing:
        message = f"topics {', '.join(missing)} do not exist. Operator action: run muse-stream topics create."
        raise TopicError(message)


class Questions(LoopThread):
    """`Asks` on a client of its own."""

    def __init__(
        self, make_reader: Callable[[], LogReader], clock: Clock, make_facts: Callable[[], LogFacts] | None = None
    ) -> None:
        """Start; nobody is asked before the first question.

        Args:
            make_reader: Makes a consumer.
            clock: Time.
            make_facts: Makes what is asked of cluster and topics; None: they are not asked, positions must do.

        """
        super().__init__("ingest-questions", clock.seconds)
        self._make_reader, self._make_facts, self._clock = make_reader, make_facts, clock
        self._reader: LogReader | None = None
        self._facts: LogFacts | None = None
        self.start()

    def logs(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        """Ask for everything."""
        return self.call(lambda: self._ask(partitions, commits=True))

    def look(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        """Ask for everything but commits."""
        return self.call(lambda: self._ask(partitions, commits=False))

    def ends(self, partitions: Sequence[Partition]) -> "Future[Mapping[Partition, int]]":
        """Ask for last stable offsets."""
        return self.call(lambda: self._connected().end_offsets(partitions))

    def close(self) -> None:
        """Ask no more; returns soon, also when a question has no answer yet."""
        self.abandon(CLOSE_SECONDS)

    def _ask(self, partitions: Sequence[Partition], *, commits: bool) -> LogAnswers:
        if self._facts is None and self._make_facts:
            self._facts = self._make_facts()
        return ask_logs(self._connected(), self._facts, partitions, self._clock.wall_ms(), commits=commits)

    def _connected(self) -> LogReader:
        if self._reader is None:
            self._reader = self._make_reader()
        return self._reader

    def _turn(self) -> float:
        return REST_SECONDS

    def _wake(self) -> None:
        """The command itself ends the rest."""

    def _release(self) -> None:
        if self._reader:
            self._reader.close()
        if self._facts:
            self._facts.close()
