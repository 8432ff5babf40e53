"""What the broker is asked: where logs begin and end, and what the group has committed.

Invariant: questions are asked in a thread and by a client of their own, so that the ingest thread never waits for a
broker that is away (a client may wait half a minute for one answer), nor for one of several that is.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.loop import LoopThread
from muse_stream.streams.ingest.ports import LogBounds, LogReader, Partition

REST_SECONDS = 1.0
"""Between two looks for a stop; a question ends it."""
CLOSE_SECONDS = 1.0
"""The thread is a daemon and holds nothing durable: who closes need not wait for a question without an answer."""


@dataclass(frozen=True, slots=True)
class LogAnswers:
    """Bounds of each log asked for, and the commits of the group where there are any."""

    bounds: Mapping[Partition, LogBounds]
    committed: Mapping[Partition, int]


class Asks(Protocol):
    """What ingest needs; a simulation answers at once."""

    def logs(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        """Ask for bounds and commits."""

    def ends(self, partitions: Sequence[Partition]) -> "Future[Mapping[Partition, int]]":
        """Ask for last stable offsets."""

    def close(self) -> None:
        """Ask no more."""


def ask_logs(reader: LogReader, partitions: Sequence[Partition], now_ms: int) -> LogAnswers:
    """Ask with `reader`, and wait."""
    begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    bounds = {at: LogBounds(begins[at], ends[at], now_ms) for at in partitions}
    return LogAnswers(bounds, reader.committed(partitions))


class Questions(LoopThread):
    """`Asks` on a client of its own."""

    def __init__(self, make_reader: Callable[[], LogReader], clock: Clock) -> None:
        super().__init__("ingest-questions", clock.seconds)
        self._make_reader, self._clock = make_reader, clock
        self._reader: LogReader | None = None
        self.start()

    def logs(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        """Ask for bounds and commits."""
        return self.call(lambda: ask_logs(self._connected(), partitions, self._clock.wall_ms()))

    def ends(self, partitions: Sequence[Partition]) -> "Future[Mapping[Partition, int]]":
        """Ask for last stable offsets."""
        return self.call(lambda: self._connected().end_offsets(partitions))

    def close(self) -> None:
        """Ask no more; returns soon, also when a question has no answer yet."""
        self.abandon(CLOSE_SECONDS)

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
