"""The checks of a chaos run can fail: each is shown something that is wrong in one place."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from muse_stream.state.rules import RuleChange
from muse_stream.streams.audit.decoding import Contract
from muse_stream.streams.wire.answers import Answer, PartitionOffset, Positions, Retrieved, Status, Window
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS
from muse_stream.streams.wire.requests import NotBefore
from tests.chaos import checks
from tests.chaos.copies import Audits, compare
from tests.chaos.history import LogHistory, PartitionHistory
from tests.chaos.records import Record
from tests.chaos.report import Report, Times
from tests.chaos.requester import Asked, Got
from tests.chaos.writer import Written, checksum
from tests.streams.audit.lists import RULES, START_MS, ListLog, ingest, mixed_log, open_store

END = 100
CONTRACT = Contract(0, 1, DEFAULT_ACTIONS)


def history_of(log: ListLog, end: int = END) -> PartitionHistory:
    history = PartitionHistory(CONTRACT, [RuleChange(0, RULES)])
    history.extend(log.entries[:end], end)
    return history


class Known(LogHistory):
    """A history that has read its one partition."""

    def __init__(self, history: PartitionHistory) -> None:
        self.rules, self.partitions = list(history.rules), [history]

    def read(self, positions: object, seconds: float) -> None:
        pass


@pytest.mark.parametrize("position", [0, 1, 37, END])
def test_a_model_of_any_position_is_that_of_the_whole_prefix(monkeypatch: pytest.MonkeyPatch, position: int) -> None:
    monkeypatch.setattr("tests.chaos.history.STEP", 10)
    log = mixed_log(1)
    found, expected = history_of(log).model(position), history_of(log, position).model(position)
    assert (found.users, found.counts, found.watermark_ms) == (expected.users, expected.counts, expected.watermark_ms)


def test_a_copy_is_compared_at_its_own_position(tmp_path: Path) -> None:
    log, audits = mixed_log(2), Audits()
    for end in (40, 80):
        with closing(open_store(tmp_path)) as store:
            ingest(store, log, end)
        compare(tmp_path, Known(history_of(log)), audits)
    assert audits.differences == []
    assert audits.copies == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log.entries.__setitem__(95, log.entries[95]._replace(key=b"1", value=log.entries[94].value)),
        lambda log: log.entries.__setitem__(95, log.entries[95]._replace(value=b"poison")),
        lambda log: log.entries.__setitem__(95, log.entries[95]._replace(value=None)),
    ],
    ids=["another row", "a row less", "an erasure"],
)
def test_a_copy_of_another_log_is_told(tmp_path: Path, change: Callable[[ListLog], None]) -> None:
    log, audits = ListLog(), Audits()
    for item in range(1, END + 1):
        log.behaviour(item % 3 + 1, item)
    with closing(open_store(tmp_path)) as store:
        ingest(store, log, END)
    change(log)
    compare(tmp_path, Known(history_of(log)), audits)
    assert len(audits.differences) >= 1


def asked(**changes: object) -> Asked:
    one = Asked("r1", 1, 0, k=2, candidates=[7], want="retrieved", not_before=None, malformed=False, acknowledged=1.0)
    return replace(one, **changes)  # type: ignore[arg-type]


@pytest.fixture
def history() -> PartitionHistory:
    """User 1 has items 1 to 9 at offsets 0 to 8; the cap is 6."""
    log = ListLog()
    for item in range(1, 10):
        log.behaviour(1, item)
    return history_of(log, 9)


def answer(position: int = 5, window: tuple[int, int] = (0, 5), items: tuple[int, ...] = (5, 2)) -> Answer:
    found = Retrieved(
        list(items), [START_MS] * len(items), [1] * len(items), [item - 1 for item in items], [0.5] * len(items)
    )
    return Answer(
        request_id="r1",
        user="1",
        status=Status.OK,
        candidates=[7],
        retrieved=[found],
        positions=Positions(PartitionOffset(0, position), 0, 0),
        window=Window(*window),
        history_length=window[1] - window[0],
    )


def test_a_right_answer_is_right_at_its_own_position(history: PartitionHistory) -> None:
    right = [answer(), answer(8, (2, 8), (8, 3)), answer(9, (3, 9), (9, 4))]
    assert list(checks.computed(history, {"r1": asked(not_before=NotBefore(0, 4))}, right)) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (answer(window=(0, 4), items=(4, 2)), "window 0..4"),
        (answer(position=6), "window 0..5"),
        (answer(8, (2, 8), (8, 2)), "retrieved other behaviours"),
        (answer(items=(5, 5)), "expected 2"),
        (answer(items=(5,)), "1 retrieved"),
        (answer(position=10), "the log ends at 9"),
        (answer(position=3, window=(0, 3), items=(3, 2)), "must have seen the record at 4"),
    ],
)
def test_wrong_answers_are_told(history: PartitionHistory, wrong: Answer, said: str) -> None:
    (line,) = checks.computed(history, {"r1": asked(not_before=NotBefore(0, 4))}, [wrong])
    assert said in line


def test_every_request_needs_an_answer_of_a_status_that_something_explains() -> None:
    late = Answer(request_id="r1", user="1", status=Status.EXPIRED)
    fault = Answer(request_id="r1", user="1", status=Status.ERROR)
    stray = Answer(request_id="r9", user="1", status=Status.EXPIRED)
    assert list(checks.statuses({"r1": asked()}, {"r1": [Got(late, 1)]})) == []
    assert list(checks.statuses({"r1": asked(acknowledged=None)}, {})) == []
    assert "never answered" in next(checks.statuses({"r1": asked()}, {}))
    assert "error" in next(checks.statuses({"r1": asked()}, {"r1": [Got(fault, 1)]}))
    assert "nobody sent" in next(checks.statuses({}, {"r9": [Got(stray, 1)]}))


class Where(NamedTuple):
    """Where a record was written, as kafka-python tells."""

    offset: int
    partition: int = 0


def test_what_was_acknowledged_is_in_the_log_and_what_was_aborted_is_not(history: PartitionHistory) -> None:
    written = Written(1)
    for record in history.records:
        written.kept[0].append(record.offset << 32 | checksum(record.key, record.value))
    assert list(checks.writes(written, [history])) == []
    written.keep(Record(b"1", b"other", poison=True), Where(4))
    written.keep(Record(b"1", b"more"), Where(9))
    written.abort(Record(b"1", b"never"), Where(3))
    lines = list(checks.writes(written, [history]))
    assert [line.split("record ")[1][:20] for line in lines] == [
        "acknowledged at 4 is",
        "acknowledged at 9 is",
        "at 3 was aborted, an",
    ]
    assert written.poison == {(0, 4)}


def test_refused_records_need_a_dead_letter_each_and_others_none() -> None:
    log = ListLog()
    log.behaviour(1, 1)
    log.add(b"1", b"poison")
    history = history_of(log, 2)
    assert list(checks.dead_letters("b", [(0, 1)], [history], Counter(["b:0:1", "b:0:1"]))) == []
    assert "has no dead letter" in next(checks.dead_letters("b", [(0, 1)], [history], Counter()))
    assert "refused by nobody" in next(checks.dead_letters("b", [(0, 0)], [history], Counter(["b:0:1"])))
    assert "nothing is wrong" in next(checks.dead_letters("b", [], [history], Counter(["b:0:0", "b:0:1"])))


def test_a_report_is_one_object() -> None:
    report = Report("again", 7, faults=Counter({"kill -9": 3}), takeovers=Times.of([3.0, 1.0, 2.0]))
    assert json.loads(json.dumps(report.document())) == report.document()
    assert report.document()["faults"] == {"kill -9": 3}
    assert report.document()["takeovers"] == {"count": 3, "p50": 2.0, "p95": 3.0, "max": 3.0}
    assert (report.ok, report.document()["ok"]) == (True, True)
    report.differ(str(number) for number in range(30))
    assert (report.ok, report.found, len(report.differences)) == (False, 30, 10)
    assert any("30 differences" in line for line in report.lines())
