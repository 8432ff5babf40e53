"""Which snapshots stay: the latest ones, and everything that somebody may still rely on."""

from pathlib import Path

import pytest

from muse_stream.state import snapshots
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.snapshot_keeping import REST_HOURS, needed_from, prune
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshot_manifest import Manifest
from muse_stream.state.store import BehaviourStore
from tests.state.logs import IDENTITY, hashed_log

HOUR_MS = 3_600_000
NOW_MS = 2_000_000_000_000
"""Long after the files of this test are written."""


@pytest.fixture
def location(tmp_path: Path) -> SnapshotLocation:
    return SnapshotLocation(f"file://{tmp_path}/there", IDENTITY.topic, IDENTITY.partition)


def hourly(
    location: SnapshotLocation, tmp_path: Path, count: int, identity: StoreIdentity = IDENTITY
) -> list[Manifest]:
    """Snapshots of the last hours, the latest one at NOW_MS, oldest first."""
    store = BehaviourStore.open(tmp_path / identity.cluster_id, identity, Rules())
    made = []
    for number in range(count):
        end = (number + 1) * 1_000
        store.append(hashed_log(end - 1_000, end), position=end)
        checkpoint = tmp_path / f"checkpoint-{identity.cluster_id}-{number}"
        store.checkpoint(checkpoint)
        created_ms = NOW_MS - (count - 1 - number) * HOUR_MS
        made.append(snapshots.write(checkpoint, location, "1", now_ms=created_ms)[0])
    store.close()
    return made


def positions(location: SnapshotLocation) -> list[int]:
    return [one.manifest.position for one in location.snapshots() if one.manifest]


def test_surplus_snapshots_stay_as_long_as_a_writer_may_share_with_them(
    location: SnapshotLocation, tmp_path: Path
) -> None:
    made = hourly(location, tmp_path, 5)
    assert prune(location, IDENTITY, 2, NOW_MS) == []
    # The third last became surplus when the last one came.
    late_ms = NOW_MS + REST_HOURS * HOUR_MS
    assert prune(location, IDENTITY, 2, late_ms) == [made[1].name, made[0].name]
    assert prune(location, IDENTITY, 2, late_ms + 1) == [made[2].name]
    assert positions(location) == [5_000, 4_000]
    for manifest in made[-2:]:
        snapshots.verify(manifest, location)
    assert location.files().keys() == {file.digest for manifest in made[-2:] for file in manifest.files}


def test_one_always_stays(location: SnapshotLocation, tmp_path: Path) -> None:
    hourly(location, tmp_path, 2)
    prune(location, IDENTITY, 0, NOW_MS + 1_000 * HOUR_MS)
    assert positions(location) == [2_000]


def test_only_complete_ones_count(location: SnapshotLocation, tmp_path: Path) -> None:
    made = hourly(location, tmp_path, 3)
    only_in_the_last = {file.digest for file in made[2].files} - {file.digest for file in made[1].files}
    for digest in only_in_the_last:
        location.remove_file(digest)
    prune(location, IDENTITY, 1, NOW_MS + 1_000 * HOUR_MS)
    assert positions(location) == [3_000, 2_000]
    snapshots.verify(made[1], location)
    assert needed_from(location.snapshots(), IDENTITY) == 2_000


def test_snapshots_of_another_log_stay(location: SnapshotLocation, tmp_path: Path) -> None:
    other = StoreIdentity("cluster-two", IDENTITY.topic, IDENTITY.partition, IDENTITY.partition_count)
    theirs = hourly(location, tmp_path, 2, other)
    hourly(location, tmp_path, 2)
    prune(location, IDENTITY, 1, NOW_MS + 1_000 * HOUR_MS)
    assert sorted(positions(location)) == [1_000, 2_000, 2_000]
    for manifest in theirs:
        snapshots.verify(manifest, location)
    assert needed_from(location.snapshots(), other) == 1_000


def test_a_manifest_that_cannot_be_read_goes_when_nobody_can_be_writing_it(
    location: SnapshotLocation, tmp_path: Path
) -> None:
    made = hourly(location, tmp_path, 2)
    path = Path(location.url.removeprefix("file://")) / f"{made[0].name}.json"
    path.write_bytes(path.read_bytes()[:50])
    written_ms = location.written_ms(made[0].name)
    assert prune(location, IDENTITY, 1, written_ms + HOUR_MS) == []
    assert prune(location, IDENTITY, 1, written_ms + 13 * HOUR_MS) == [made[0].name]
    snapshots.verify(made[1], location)


def test_the_log_is_needed_from_the_oldest_snapshot_on(location: SnapshotLocation, tmp_path: Path) -> None:
    assert needed_from(location.snapshots(), IDENTITY) == 0
    hourly(location, tmp_path, 3)
    assert needed_from(location.snapshots(), IDENTITY) == 1_000
