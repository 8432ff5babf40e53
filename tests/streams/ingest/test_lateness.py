"""How late a copy is: an upper bound that follows from what was asked and read, never from hopes."""

from math import inf
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from muse_stream.streams.ingest.cursor import Cursor
from muse_stream.streams.ingest.ports import TopicPartition
from muse_stream.streams.ingest.status import LogState, PartitionState, Phase

NOW_MS = 1_700_000_100_000


class Log:
    """A cursor over a feed whose position a test moves."""

    def __init__(self, position: int = 10) -> None:
        self.feed = SimpleNamespace(position=position, visible=position)
        self.cursor = Cursor(TopicPartition("behaviours", 0), cast("Any", self.feed), 10, 10, 0)

    def read_to(self, position: int, broker_time_ms: int | None = None) -> None:
        """Store what came; no time: only a marker, or nothing that counts."""
        self.feed.position = self.feed.visible = position
        times = np.array([] if broker_time_ms is None else [broker_time_ms], np.int64)
        records: Any = type("Records", (), {"__len__": lambda _: len(times)})()
        records.next_offset, records.broker_time_ms = position, times
        self.cursor.passed(records)

    def late(self, after_ms: int = 0) -> float:
        return self.cursor.state().late_seconds(NOW_MS + after_ms)


def test_unknown_before_the_first_answer() -> None:
    assert Log().late() == inf


def test_an_end_that_is_reached_makes_it_complete_as_of_the_question() -> None:
    log = Log()
    log.cursor.note_asked(10, NOW_MS)
    assert log.late() == 0.0
    assert log.late(after_ms=2_500) == 2.5, "what came since is not known"


def test_an_end_above_counts_once_it_is_reached_and_from_the_question_on() -> None:
    log = Log()
    log.cursor.note_asked(10, NOW_MS - 60_000)
    log.cursor.note_asked(12, NOW_MS)
    log.cursor.note_asked(15, NOW_MS + 1_000)
    assert log.late(after_ms=2_000) == 62.0
    log.read_to(11)
    assert log.late(after_ms=2_000) == 62.0
    log.read_to(12)
    assert log.late(after_ms=2_000) == 2.0, "the first question that is answered counts, not the last one that is not"
    log.cursor.note_asked(12, NOW_MS + 3_000)
    assert log.late(after_ms=3_000) == 0.0


def test_what_was_read_last_is_known_complete_too() -> None:
    log = Log()
    log.cursor.note_asked(99, NOW_MS)
    log.read_to(11, broker_time_ms=NOW_MS - 7_000)
    assert log.late() == 7.0


def test_one_record_after_a_long_rest_makes_nothing_late() -> None:
    log = Log()
    log.read_to(10, broker_time_ms=NOW_MS - 3_600_000)
    log.cursor.note_asked(10, NOW_MS - 1_000)
    log.cursor.note_asked(11, NOW_MS)
    assert log.late() == 1.0


@pytest.mark.parametrize(("users_ms", "late"), [(NOW_MS, 5.0), (NOW_MS - 9_000, 9.0), (None, inf)])
def test_a_partition_is_as_late_as_the_later_of_its_logs(users_ms: int | None, late: float) -> None:
    logs = {
        name: LogState(1, 1, 0, 0, None, None, complete_ms=at)
        for name, at in (("behaviours", NOW_MS - 5_000), ("users", users_ms))
    }
    assert PartitionState(0, serving=True, phase=Phase.READY, logs=logs).late_seconds(NOW_MS) == late


def test_a_partition_without_a_store_or_that_has_stopped_is_infinitely_late() -> None:
    logs = {"behaviours": LogState(1, 1, 0, 0, None, None, complete_ms=NOW_MS)}
    assert PartitionState(0, serving=True, phase=Phase.OPENING).late_seconds(NOW_MS) == inf
    stopped = PartitionState(0, serving=True, phase=Phase.FAILED, logs=logs, error="gone")
    assert stopped.late_seconds(NOW_MS) == inf
