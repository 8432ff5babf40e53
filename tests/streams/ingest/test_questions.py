import threading
from collections.abc import Iterable, Mapping

import pytest

from muse_stream.streams.ingest.clock import Clock
from muse_stream.streams.ingest.ports import LogBounds, Partition
from muse_stream.streams.ingest.questions import Questions
from tests.streams.ingest.fakes import BEHAVIOURS, FakeLog, FakeReader, users_of
from tests.streams.ingest.test_service import PATIENCE_SECONDS

HERE: Partition = (BEHAVIOURS, 0)


def make_log() -> FakeLog:
    log = FakeLog()
    for item in (1, 2, 3):
        log.behaviour(users_of(0, 1)[0], item)
    log.cut(HERE, 1)
    log.commits[HERE] = 2
    return log


def test_bounds_commits_and_ends_are_the_brokers() -> None:
    log = make_log()
    questions = Questions(lambda: FakeReader(log), Clock(wall_ms=lambda: 77))
    answers = questions.logs([HERE, (BEHAVIOURS, 1)]).result(PATIENCE_SECONDS)
    assert answers.bounds == {HERE: LogBounds(1, 3, 77), (BEHAVIOURS, 1): LogBounds(0, 0, 77)}
    assert answers.committed == {HERE: 2}
    assert questions.ends([HERE]).result(PATIENCE_SECONDS) == {HERE: 3}
    questions.close()


def test_a_broker_that_is_away_fails_the_question_and_not_the_next_one() -> None:
    log = make_log()
    questions = Questions(lambda: FakeReader(log), Clock())
    log.away = True
    with pytest.raises(ConnectionError):
        questions.logs([HERE]).result(PATIENCE_SECONDS)
    log.away = False
    assert questions.ends([HERE]).result(PATIENCE_SECONDS) == {HERE: 3}
    questions.close()


def test_closing_does_not_wait_for_an_answer_that_does_not_come() -> None:
    gate, asked = threading.Event(), threading.Event()

    class Silent(FakeReader):
        def end_offsets(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
            asked.set()
            gate.wait(PATIENCE_SECONDS)
            return super().end_offsets(partitions)

    reader = Silent(make_log())
    questions = Questions(lambda: reader, Clock())
    answer = questions.ends([HERE])
    assert asked.wait(PATIENCE_SECONDS)
    questions.close()
    assert not answer.done()
    gate.set()
    assert answer.result(PATIENCE_SECONDS) == {HERE: 3}
