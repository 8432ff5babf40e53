"""The audit where the log has been shortened and there are snapshots: whole again, from the oldest one that fits."""

import uuid
from pathlib import Path

import pytest

from muse_stream.state.rules import Rules
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshots import write
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.audit.beginning import SnapshotBeginnings
from muse_stream.streams.audit.report import PartitionReport
from tests.streams.audit.lists import IDENTITY, RULES, ListLog, audited, ingest, mixed_log, open_store

DATED = Rules(cap=6, duplicate_window=5, ttl_seconds=9)


class Kept:
    """A store, its log, and snapshots of it."""

    def __init__(self, directory: Path, seed: int = 1, rules: Rules = RULES) -> None:
        self.directory, self.path, self.url = directory, directory / "store", f"file://{directory}/there"
        self.log = mixed_log(seed, rows=160)
        self.store = open_store(self.path, rules)

    def reopen(self, rules: Rules) -> None:
        self.store.close()
        self.store = open_store(self.path, rules)

    def to(self, end: int) -> "Kept":
        ingest(self.store, self.log, end, batch=7)
        return self

    def save(self, store: BehaviourStore | None = None) -> "Kept":
        checkpoint = self.directory / f"checkpoint-{uuid.uuid4().hex}"
        (store or self.store).checkpoint(checkpoint)
        write(checkpoint, self.location, "1")
        return self

    @property
    def location(self) -> SnapshotLocation:
        return SnapshotLocation(self.url, IDENTITY.topic, IDENTITY.partition)

    def audited(self, begin: int) -> PartitionReport:
        self.log.begin = begin
        return audited(self.path, self.log, SnapshotBeginnings(self.url, self.directory))

    def close(self) -> None:
        self.store.close()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rules", [RULES, DATED, Rules(cap=1_000, duplicate_window=0)], ids=["cap", "ttl", "all"])
def test_a_store_is_whole_from_a_snapshot_on(tmp_path: Path, seed: int, rules: Rules) -> None:
    kept = Kept(tmp_path, seed, rules)
    kept.to(40).save().to(80).save().to(150)
    report = kept.audited(60)
    assert report.ok, report.shown
    assert (report.compared, report.begin, report.counts.records) == ("snapshot", 80, 70)
    assert report.how == "from snapshot at 80 (verified)"
    assert "the log begins at 60" in report.note
    assert kept.audited(40).begin == 40
    assert kept.audited(0).compared == "whole"
    assert kept.audited(81).compared == "end"
    assert not list(tmp_path.glob("muse-audit-*"))
    kept.close()


def test_what_went_wrong_after_the_snapshot_is_found(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.to(50).save()
    lost = ListLog(list(kept.log.entries), hidden={60, 61, 62})
    ingest(kept.store, lost, 150)
    report = kept.audited(50)
    assert not report.ok
    assert report.compared == "snapshot"
    assert report.lost > 0
    kept.close()


def test_a_window_that_the_store_forgot_is_found(tmp_path: Path) -> None:
    """Repeats of what came before the snapshot are only told by the snapshot's window."""
    kept = Kept(tmp_path)
    kept.log = ListLog()
    kept.log.behaviour(1, 10, "a")
    kept.log.behaviour(1, 10, "a")
    kept.to(1).save()
    other = open_store(tmp_path / "other")
    ingest(other, kept.log, 1)
    other._window._slots[:] = 0
    ingest(other, kept.log, 2)
    kept.to(2)
    assert kept.audited(1).ok
    kept.path = tmp_path / "other"
    report = kept.audited(1)
    assert (report.compared, report.doubled) == ("snapshot", 1)
    other.close()
    kept.close()


def test_rules_may_change_after_the_snapshot(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.to(60).save()
    kept.reopen(Rules(cap=2, duplicate_window=1))
    kept.save().to(90)
    kept.reopen(Rules(cap=50, duplicate_window=40))
    kept.to(150)
    report = kept.audited(60)
    assert report.ok, report.shown
    assert (report.compared, report.begin) == ("snapshot", 60)
    kept.close()


def test_a_copy_with_other_rules_does_not_lead_there(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    other = open_store(tmp_path / "other", Rules(cap=3, duplicate_window=5))
    ingest(other, kept.log, 60)
    kept.save(other).to(100)
    report = kept.audited(60)
    assert (report.compared, report.ok) == ("end", True)
    other.close()
    kept.close()


def test_a_copy_that_began_elsewhere_does_not_lead_there(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    other = open_store(tmp_path / "other", start=20)
    ingest(other, kept.log, 60)
    kept.save(other).to(100)
    assert kept.audited(60).compared == "end"
    other.close()
    kept.close()


def test_a_damaged_snapshot_is_passed_over_and_told(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.to(60).save().to(90).save().to(120)
    first = kept.location.snapshots()[-1].manifest
    second = kept.location.snapshots()[0].manifest
    assert first
    assert second
    only = next(file for file in first.files if file.digest not in {other.digest for other in second.files})
    path = tmp_path / "there" / "behaviours-0" / "files" / only.digest
    path.write_bytes(bytes(len(path.read_bytes())))
    kept.log.begin = 60
    beginnings = SnapshotBeginnings(kept.url, tmp_path)
    report = audited(kept.path, kept.log, beginnings)
    assert (report.ok, report.begin) == (True, 90)
    assert first.name in beginnings.refused[0]
    kept.close()
