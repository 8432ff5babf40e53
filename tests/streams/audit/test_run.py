"""The audit over logs in lists: silent where a store is right, loud where one is wrong, whatever made it so."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from rocksdict import WriteBatch

from muse_stream.state import store as store_module
from muse_stream.state.duplicates import DuplicateWindow
from muse_stream.state.errors import NotAStoreError
from muse_stream.state.meta import Progress
from muse_stream.state.rules import Rules
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.audit.decoding import Record
from muse_stream.streams.audit.run import audit_store
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS
from tests.state import sample
from tests.streams.audit.lists import RULES, ListLog, audited, hours_of, ingest, mixed_log, open_store


@pytest.mark.parametrize("seed", range(3))
def test_a_store_that_follows_the_log_is_equal(tmp_path: Path, seed: int) -> None:
    log = mixed_log(seed)
    store = open_store(tmp_path)
    ingest(store, log, 100, batch=3)
    report = audited(tmp_path, log)
    assert report.ok, report.shown
    assert (report.compared, report.position, report.users) == ("whole", 100, 4)
    counts = report.counts
    assert counts.records == 100
    assert min(counts.rejected, counts.behaviours, counts.duplicates, counts.erasures) > 0
    store.close()


def test_a_store_that_is_being_written_is_seen_at_one_moment(tmp_path: Path) -> None:
    log = mixed_log(3)
    store = open_store(tmp_path)
    for end in (40, 80, 120):
        ingest(store, log, end)
        report = audited(tmp_path, log)
        assert report.ok, report.shown
        assert report.position == end
    store.close()


def test_rules_hold_from_their_offset_on(tmp_path: Path) -> None:
    log = mixed_log(4)
    for end, rules in ((30, RULES), (60, Rules(cap=2, duplicate_window=1)), (120, Rules(cap=50, duplicate_window=40))):
        store = open_store(tmp_path, rules)
        ingest(store, log, end)
        store.close()
        report = audited(tmp_path, log)
        assert report.ok, report.shown


def test_rules_that_change_twice_at_one_position_both_hold(tmp_path: Path) -> None:
    log = mixed_log(4)
    store = open_store(tmp_path, RULES)
    ingest(store, log, 60)
    store.close()
    open_store(tmp_path, Rules(cap=1, duplicate_window=1)).close()
    open_store(tmp_path, RULES).close()
    report = audited(tmp_path, log)
    assert report.ok, report.shown


TIMES_TO_LIVE = [
    (35, Rules(cap=6, duplicate_window=5, ttl_seconds=20)),
    (60, Rules(cap=50, duplicate_window=5, ttl_seconds=7)),
    (60, Rules(cap=50, duplicate_window=5)),
    (90, Rules(cap=50, duplicate_window=5, ttl_seconds=100)),
    (120, Rules(cap=50, duplicate_window=5, ttl_seconds=30)),
]
"""End and rules; the second and third change at one position, and the third and fourth are longer than the second."""


@pytest.mark.parametrize("seed", range(4))
def test_what_expired_is_not_shown_and_never_comes_back(tmp_path: Path, seed: int) -> None:
    log = hours_of(mixed_log(seed))
    for end, rules in TIMES_TO_LIVE:
        store = open_store(tmp_path, rules)
        ingest(store, log, end)
        store.close()
        log.begin = 0
        report = audited(tmp_path, log)
        assert report.ok, report.shown
        log.begin = 1 + end // 3
        report = audited(tmp_path, log)
        assert report.ok, report.shown
        assert report.compared == "end"


@pytest.mark.parametrize("begin", [0, 20])
@pytest.mark.parametrize("ttl_seconds", [None, 10, 40])
def test_a_store_with_another_time_to_live_differs(tmp_path: Path, begin: int, ttl_seconds: int | None) -> None:
    log, told = hours_of(mixed_log(2)), Rules(cap=50, duplicate_window=0, ttl_seconds=20)
    log.begin = begin
    kept = partial(Rules.oldest_seconds, replace(told, ttl_seconds=ttl_seconds))
    with mock.patch.object(Rules, "oldest_seconds", kept), closing(open_store(tmp_path, told)) as store:
        equal = []
        for end in (50, 60, 70, 80):
            ingest(store, log, end)
            equal.append(audited(tmp_path, log).ok)
    too_long_for_what_is_known = begin > 0 and ttl_seconds != 10
    assert all(equal) == too_long_for_what_is_known


@dataclass
class SampleLog:
    """The log of the stored sample, from `begin` on."""

    entries: list[Record]
    begin: int

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return self.begin, len(self.entries)

    def records(self, topic: str, partition: int, begin: int, end: int) -> Iterator[list[Record]]:
        yield self.entries[begin:end]


def test_a_converted_store_is_equal_to_its_log(tmp_path: Path) -> None:
    shutil.copytree(sample.SAMPLE, tmp_path / "store")
    rules, records = Rules(cap=600, duplicate_window=100, ttl_seconds=200_000), sample.records()
    BehaviourStore.open(tmp_path / "store", sample.IDENTITY, rules).close()
    for begin in (0, 700):
        report = audit_store(tmp_path / "store", SampleLog(records, begin), DEFAULT_ACTIONS, lambda done, total: None)
        assert report.ok, report.shown
        assert report.users == 250 or begin
        assert report.compared == ("end" if begin else "whole")


def test_a_store_that_began_later_is_whole_from_there(tmp_path: Path) -> None:
    log = mixed_log(5)
    store = open_store(tmp_path, start=50)
    ingest(store, log, 120)
    store.close()
    log.begin = 50
    report = audited(tmp_path, log)
    assert report.ok, report.shown
    assert (report.compared, report.begin) == ("whole", 50)


@pytest.mark.parametrize("begin", [1, 40, 100, 120])
@pytest.mark.parametrize("rules", [RULES, Rules(cap=1_000, duplicate_window=0), Rules(cap=1_000, duplicate_window=9)])
def test_a_shortened_log_is_compared_as_far_as_it_goes(tmp_path: Path, begin: int, rules: Rules) -> None:
    log = mixed_log(6)
    store = open_store(tmp_path, rules)
    ingest(store, log, 120)
    store.close()
    log.begin = begin
    report = audited(tmp_path, log)
    assert report.ok, report.shown
    assert report.compared == "end"
    assert f"the log begins at {begin}" in report.note


@pytest.mark.parametrize("begin", [0, 20])
def test_one_wrong_behaviour_is_found(tmp_path: Path, begin: int) -> None:
    log, other = mixed_log(7), mixed_log(7)
    user = next(one.key for one in reversed(log.entries) if one.value and b'"item"' in one.value) or b""
    place = next(one.offset for one in reversed(log.entries) if one.key == user and one.value and b"item" in one.value)
    other.entries[place] = other.entries[place]._replace(value=b'{"item":99,"time_ms":1,"action":1}')
    store = open_store(tmp_path)
    ingest(store, other, 120)
    store.close()
    log.begin = begin
    report = audited(tmp_path, log)
    assert not report.ok
    assert [one.user for one in report.shown] == [int(user)]
    assert "99" in report.shown[0].text or begin


def test_a_store_beyond_the_log_is_a_difference(tmp_path: Path) -> None:
    log = mixed_log(8)
    store = open_store(tmp_path)
    ingest(store, log, 120)
    store.close()
    del log.entries[100:]
    report = audited(tmp_path, log)
    assert not report.ok
    assert "stands at 120, the log ends at 100" in report.shown[0].text


def test_a_store_before_the_log_cannot_be_compared(tmp_path: Path) -> None:
    log = mixed_log(8)
    store = open_store(tmp_path)
    ingest(store, log, 30)
    store.close()
    log.begin = 60
    report = audited(tmp_path, log)
    assert not report.ok
    assert (report.compared, report.differences) == ("nothing", 0)


def test_a_directory_without_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAStoreError):
        audited(tmp_path, ListLog())


def position_outside_the_batch(store: BehaviourStore, out: WriteBatch, progress: Progress) -> None:
    """Rows and position in two writes, and a process that dies between them."""
    if progress.position == 60:
        store._database.db.write(out)
        raise KeyboardInterrupt
    write(store, out, progress)


write = BehaviourStore._write


def test_a_position_written_outside_the_batch_is_caught(tmp_path: Path) -> None:
    log = mixed_log(10)
    store = open_store(tmp_path)
    with (
        mock.patch.object(store_module.BehaviourStore, "_write", position_outside_the_batch),
        pytest.raises(KeyboardInterrupt),
    ):
        ingest(store, log, 120)
    store.close()
    store = open_store(tmp_path)
    ingest(store, log, 120)
    store.close()
    report = audited(tmp_path, log)
    assert report.doubled > 0
    assert "by the log" in report.shown[0].text


def test_a_duplicate_window_kept_in_memory_only_is_caught(tmp_path: Path) -> None:
    log = mixed_log(11)
    forget: Callable[..., None] = lambda window, pairs, out: None  # noqa: E731 - the bug
    with mock.patch.object(DuplicateWindow, "write", forget):
        for end in range(10, 121, 10):
            store = open_store(tmp_path)
            ingest(store, log, end)
            store.close()
    report = audited(tmp_path, log)
    assert report.doubled > 0


@pytest.mark.parametrize("begin", [0, 60])
def test_a_reader_that_is_not_read_committed_is_caught(tmp_path: Path, begin: int) -> None:
    log = mixed_log(12)
    store = open_store(tmp_path)
    ingest(store, log, 120)
    store.close()
    log.hidden = {one.offset for one in log.entries[-40:]}
    log.begin = begin
    report = audited(tmp_path, log)
    assert report.differences > 0
    assert report.doubled > 0 or begin
