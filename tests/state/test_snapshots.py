"""Snapshots: what comes back is what was written, whatever happened on the way, and costs what is new."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_stream.state import snapshots
from muse_stream.state.errors import (
    IdentityError,
    SnapshotDamagedError,
    SnapshotError,
    SnapshotFormatError,
    SnapshotLocationError,
    SnapshotTargetError,
)
from muse_stream.state.moment import Moment, StoreReader
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.snapshot_keeping import fitting, prune
from muse_stream.state.snapshot_location import SnapshotLocation, partitions
from muse_stream.state.snapshot_manifest import Manifest, _name
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, hashed_log

RULES = Rules(cap=300, duplicate_window=500)


class Copy:
    """A store that reads the endless log, and snapshots of it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.path = directory, directory / "store"
        self.store = BehaviourStore.open(self.path, IDENTITY, RULES)

    def read_to(self, end: int) -> None:
        begin = self.store.position
        self.store.append(hashed_log(begin, end), position=end)
        self.store.put_users(np.array([3, end]), [b"x", None], position=end)

    def save(self, location: SnapshotLocation, now_ms: int | None = None) -> tuple[Manifest, int]:
        checkpoint = self.directory / f"checkpoint-{uuid.uuid4().hex}"
        self.store.checkpoint(checkpoint)
        return snapshots.write(checkpoint, location, "1.2.3", now_ms=now_ms)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    made = Copy(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def location(tmp_path: Path) -> SnapshotLocation:
    return SnapshotLocation(f"file://{tmp_path}/there", IDENTITY.topic, IDENTITY.partition)


def content(moment: Moment) -> list[tuple[Any, ...]]:
    """Everything that a reader can see."""
    head: list[tuple[Any, ...]] = [(moment.position, moment.users_position, moment.watermark_ms)]
    for user in moment.users().tolist():
        sequence = moment.sequence(user)
        head.append((user, sequence.start, sequence.rows.tobytes(), moment.profile(user)))
    return head


def content_of(path: Path) -> list[tuple[Any, ...]]:
    with StoreReader.open(path) as reader:
        return content(reader)


def root(location: SnapshotLocation) -> Path:
    return Path(location.url.removeprefix("file://"))


def overwrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_round_trip(copy: Copy, tmp_path: Path, kind: str) -> None:
    url = f"file://{tmp_path}/there" if kind == "file" else f"memory://{uuid.uuid4().hex}"
    location = SnapshotLocation(url, "behaviours", 3)
    copy.read_to(5_000)
    told: list[tuple[int, int]] = []
    manifest, sent = copy.save(location)
    assert sent == manifest.total_bytes
    assert (manifest.position, manifest.users_position, manifest.tool) == (5_000, 5_000, "1.2.3")
    assert [change.rules for change in manifest.rules] == [RULES]
    assert partitions(url) == [("behaviours", 3)]
    (only,) = location.snapshots()
    assert (only.name, only.state, only.manifest) == (manifest.name, "complete", manifest)
    snapshots.verify(manifest, location)
    snapshots.fetch(manifest, location, tmp_path / "restored", lambda *at: told.append(at))
    assert told[-1] == (manifest.total_bytes, manifest.total_bytes)
    with copy.store.moment() as moment:
        assert content_of(tmp_path / "restored") == content(moment)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_restored_and_read_on_is_a_store_that_was_never_away(
    copy: Copy, location: SnapshotLocation, tmp_path: Path
) -> None:
    copy.read_to(4_000)
    manifest, _ = copy.save(location)
    copy.read_to(9_000)
    snapshots.fetch(manifest, location, tmp_path / "restored")
    other = BehaviourStore.open(tmp_path / "restored", IDENTITY, RULES)
    assert other.position == 4_000
    other.append(hashed_log(4_000, 9_000), position=9_000)
    other.put_users(np.array([3, 9_000]), [b"x", None], position=9_000)
    with copy.store.moment() as stayed, other.moment() as returned:
        assert content(returned) == content(stayed)
    other.close()


def test_a_further_snapshot_costs_what_is_new(copy: Copy, location: SnapshotLocation) -> None:
    copy.read_to(40_000)
    first, sent_first = copy.save(location)
    copy.read_to(41_000)
    second, sent_second = copy.save(location)
    assert sent_first == first.total_bytes
    assert sent_second < second.total_bytes / 2
    shared = {file.digest for file in first.files} & {file.digest for file in second.files}
    tables = [file for file in first.files if file.name.endswith(".sst")]
    assert tables
    assert {file.digest for file in tables} <= shared
    for manifest in (first, second):
        snapshots.verify(manifest, location)


def test_unfinished_uploads_are_not_relied_on(copy: Copy, location: SnapshotLocation) -> None:
    copy.read_to(2_000)
    manifest, _ = copy.save(location)
    location.remove(manifest.name)
    for file in root(location).joinpath("files").iterdir():
        overwrite(file, lambda raw: raw[: len(raw) // 2])
    again, sent = copy.save(location)
    assert sent == again.total_bytes
    snapshots.verify(again, location)


def _largest(directory: Path) -> Path:
    return max((directory / "files").iterdir(), key=lambda path: path.stat().st_size)


def _flip(raw: bytes) -> bytes:
    return raw[:100] + bytes([raw[100] ^ 1]) + raw[101:]


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a file is missing": lambda root: _largest(root).unlink(),
    "a file is cut": lambda root: overwrite(_largest(root), lambda raw: raw[:-1]),
    "a bit of a file": lambda root: overwrite(_largest(root), _flip),
    "the manifest is cut": lambda root: overwrite(next(root.glob("*.json")), lambda raw: raw[:-20]),
    "a bit of the manifest": lambda root: overwrite(next(root.glob("*.json")), _flip),
    "the manifest is empty": lambda root: overwrite(next(root.glob("*.json")), lambda raw: b""),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_not_restored(
    copy: Copy, location: SnapshotLocation, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    copy.read_to(5_000)
    manifest, _ = copy.save(location)
    damage(root(location))
    with pytest.raises(SnapshotError, match="Operator action"):
        snapshots.verify(location.manifest(manifest.name), location)
    with pytest.raises(SnapshotError, match="Operator action"):
        snapshots.fetch(location.manifest(manifest.name), location, tmp_path / "restored")
    assert not list(tmp_path.glob("*restor*"))
    assert not list(tmp_path.glob(".*restor*"))


def test_a_list_says_what_is_wrong(copy: Copy, location: SnapshotLocation) -> None:
    copy.read_to(5_000)
    manifest, _ = copy.save(location)
    DAMAGE["a file is missing"](root(location))
    (one,) = location.snapshots()
    assert one.state == "incomplete"
    DAMAGE["the manifest is cut"](root(location))
    (one,) = location.snapshots()
    assert (one.name, one.state) == (manifest.name, "damaged")
    assert fitting(location, IDENTITY, 0, 10**6) == []


def _rewrite(location: SnapshotLocation, manifest: Manifest, **changes: object) -> str:
    """Publish a manifest that says something else, under the name that fits its bytes; its name."""
    raw = json.dumps({**json.loads(manifest.to_bytes()), **changes}).encode()
    name = _name(manifest.position, raw)
    root(location).joinpath(f"{name}.json").write_bytes(raw)
    location.remove(manifest.name)
    return name


def test_another_format_is_refused_and_keeps_its_files(copy: Copy, location: SnapshotLocation, tmp_path: Path) -> None:
    copy.read_to(5_000)
    manifest, _ = copy.save(location)
    name = _rewrite(location, manifest, format=2)
    with pytest.raises(SnapshotFormatError, match="format 2"):
        location.manifest(name)
    files = location.files()
    assert prune(location, IDENTITY, 1, now_ms=manifest.created_ms + 10**10) == []
    assert location.files() == files
    assert location.snapshots()[0].state == "unknown"


@pytest.mark.parametrize(
    "change",
    [
        {"position": 4_999},
        {"users_position": 7},
        {"watermark_ms": 1},
        {"start_position": 1},
        {"rules": []},
        {"identity": {"cluster_id": "x", "topic": "behaviours", "partition": 3, "partition_count": 8}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_store_that_is_not_what_its_manifest_says_is_refused(
    copy: Copy, location: SnapshotLocation, tmp_path: Path, change: dict[str, object]
) -> None:
    copy.read_to(5_000)
    manifest, _ = copy.save(location)
    name = _rewrite(location, manifest, **change)
    with pytest.raises(SnapshotDamagedError, match="the store says"):
        snapshots.fetch(location.manifest(name), location, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_only_snapshots_of_the_log_fit(copy: Copy, location: SnapshotLocation, tmp_path: Path) -> None:
    copy.read_to(1_000)
    early, _ = copy.save(location)
    copy.read_to(2_000)
    late, _ = copy.save(location)
    other = StoreIdentity("cluster-two", IDENTITY.topic, IDENTITY.partition, IDENTITY.partition_count)
    assert fitting(location, IDENTITY, 0, 5_000) == [late, early]
    assert fitting(location, IDENTITY, 1_001, 5_000) == [late]
    assert fitting(location, IDENTITY, 0, 1_999) == [early]
    assert fitting(location, other, 0, 5_000) == []
    assert fitting(location, None, 0, 5_000) == [late, early]
    snapshots.fetch(late, location, tmp_path / "restored")
    with pytest.raises(IdentityError, match="cluster-two"):
        BehaviourStore.open(tmp_path / "restored", other, RULES)


def test_nothing_is_overwritten(copy: Copy, location: SnapshotLocation, tmp_path: Path) -> None:
    copy.read_to(1_000)
    manifest, _ = copy.save(location)
    with pytest.raises(SnapshotTargetError, match="never overwritten"):
        snapshots.fetch(manifest, location, copy.path)
    (tmp_path / "empty").mkdir()
    snapshots.fetch(manifest, location, tmp_path / "empty")
    assert content_of(tmp_path / "empty")[0] == (1_000, 1_000, manifest.watermark_ms)


def test_a_directory_that_appears_meanwhile_stays(copy: Copy, location: SnapshotLocation, tmp_path: Path) -> None:
    copy.read_to(1_000)
    manifest, _ = copy.save(location)
    target = tmp_path / "restored"

    def somebody_comes(done: int, _: int) -> None:
        if done == manifest.total_bytes:
            target.mkdir()
            (target / "theirs").write_text("x")

    with pytest.raises(SnapshotTargetError):
        snapshots.fetch(manifest, location, target, somebody_comes)
    assert [path.name for path in target.iterdir()] == ["theirs"]


def test_one_restores_at_a_time(copy: Copy, location: SnapshotLocation, tmp_path: Path) -> None:
    copy.read_to(1_000)
    manifest, _ = copy.save(location)
    target, refused = tmp_path / "restored", []

    def another(done: int, _: int) -> None:
        with pytest.raises(SnapshotTargetError, match="somebody else"):
            snapshots.fetch(manifest, location, target)
        refused.append(done)

    snapshots.fetch(manifest, location, target, another)
    assert refused
    assert content_of(target)[0] == (1_000, 1_000, manifest.watermark_ms)


KILLED = """
import os, sys
from pathlib import Path
from muse_stream.state import snapshots
from muse_stream.state.snapshot_location import SnapshotLocation

def die(done, total):
    if done > total // 2:
        os._exit(9)

what, url, path = sys.argv[1:]
location = SnapshotLocation(url, "behaviours", 3)
if what == "write":
    snapshots.write(Path(path), location, "killed", advance=die)
else:
    snapshots.fetch(location.snapshots()[0].manifest, location, Path(path), die)
"""


def killed(what: str, tmp_path: Path, path: Path) -> None:
    command = [sys.executable, "-c", KILLED, what, f"file://{tmp_path}/there", str(path)]
    assert subprocess.run(command, check=False, env=os.environ).returncode == 9


def test_a_writer_that_is_killed_leaves_what_a_later_prune_removes(
    copy: Copy, location: SnapshotLocation, tmp_path: Path
) -> None:
    copy.read_to(5_000)
    copy.store.checkpoint(tmp_path / "checkpoint")
    killed("write", tmp_path, tmp_path / "checkpoint")
    assert location.snapshots() == []
    assert location.files()
    with location.writing("ab" * 32) as file:  # of a table that compaction has replaced meanwhile
        file.write(b"half of it")
    left = location.files()
    copy.read_to(9_000)
    manifest, _ = copy.save(location)
    prune(location, IDENTITY, 1)
    assert left.keys() <= location.files().keys(), "somebody may still be writing"
    prune(location, IDENTITY, 1, now_ms=manifest.created_ms + 13 * 3_600_000)
    assert location.files().keys() == {file.digest for file in manifest.files}
    snapshots.verify(manifest, location)


def test_a_restore_that_is_killed_leaves_nothing_to_open(
    copy: Copy, location: SnapshotLocation, tmp_path: Path
) -> None:
    copy.read_to(5_000)
    manifest, _ = copy.save(location)
    target = tmp_path / "data" / "behaviours-3"
    killed("fetch", tmp_path, target)
    assert not target.exists()
    assert list(target.parent.iterdir()) == [target.parent / ".behaviours-3.restoring"]
    snapshots.fetch(manifest, location, target)
    assert list(target.parent.iterdir()) == [target]
    with copy.store.moment() as moment:
        assert content_of(target) == content(moment)


@pytest.mark.parametrize("location", ["nowhere://x", "s3nope://bucket/x"])
def test_a_location_that_is_none(location: str) -> None:
    with pytest.raises(SnapshotLocationError, match="not a location"):
        SnapshotLocation(location, "behaviours", 3)


def test_a_location_that_refuses(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    copy.read_to(10)
    with pytest.raises(SnapshotLocationError, match="does not answer, or refuses"):
        copy.save(SnapshotLocation(f"file://{tmp_path}/file", "behaviours", 3))


def test_files_that_vanish_while_it_is_written_make_no_snapshot(copy: Copy, location: SnapshotLocation) -> None:
    copy.read_to(5_000)
    copy.store.checkpoint(copy.directory / "checkpoint")

    def remove(done: int, total: int) -> None:
        if done == total:
            _largest(root(location)).unlink(missing_ok=True)

    with pytest.raises(SnapshotLocationError, match="not there after they were sent"):
        snapshots.write(copy.directory / "checkpoint", location, "x", advance=remove)
    assert location.snapshots() == []


def test_nothing_was_ever_written() -> None:
    assert partitions("memory://never-written") == []
    assert SnapshotLocation("memory://never-written", "behaviours", 0).snapshots() == []
