"""Which snapshots stay, and what of them the log can continue.

Invariant: a file that a snapshot needs is never removed, also while several workers write and prune one location.

That rests on a rule of time. A writer shares files only with the latest snapshot that it saw when it began, and gives
up after `WRITE_HOURS`. A snapshot is removed only when as many later ones as are kept were begun `REST_HOURS` ago, and
a file only when no manifest names it and nobody has written it for that long. So what a writer relies on is there when
it is done.
"""

import logging
import time
from collections.abc import Iterator

from muse_stream.state.rules import StoreIdentity
from muse_stream.state.snapshot_location import Snapshot, SnapshotLocation
from muse_stream.state.snapshot_manifest import Manifest

log = logging.getLogger(__name__)

WRITE_HOURS = 4
"""A copy of 100 GB over a line of 100 Mbit/s takes 2.5 hours."""
REST_HOURS = 12
"""The later snapshot may have appeared `WRITE_HOURS` after it was begun, and somebody may have looked just before and
write for `WRITE_HOURS` more; the rest is for clocks that differ."""
_REST_MS = REST_HOURS * 3_600_000


def latest(location: SnapshotLocation, identity: StoreIdentity) -> Manifest | None:
    """The latest complete snapshot of that log; None where there is none.

    Raises:
        SnapshotLocationError: The location does not answer.

    """
    return next((one.manifest for one in _of(location.snapshots(), identity) if one.state == "complete"), None)


def fitting(location: SnapshotLocation, identity: StoreIdentity | None, first: int, last: int) -> list[Manifest]:
    """Complete snapshots of that log with a position in `[first, last]`, the highest position first.

    Raises:
        SnapshotLocationError: The location does not answer.

    """
    found = [
        one.manifest
        for one in _of(location.snapshots(), identity)
        if one.manifest and one.state == "complete" and first <= one.manifest.position <= last
    ]
    return sorted(found, key=lambda manifest: manifest.position, reverse=True)


def prune(location: SnapshotLocation, identity: StoreIdentity, keep: int, now_ms: int | None = None) -> list[str]:
    """Remove the snapshots of that log that have been surplus for `REST_HOURS`, and files that nothing needs.

    Args:
        location: Where.
        identity: The log; snapshots of others stay.
        keep: Complete snapshots to keep, the latest ones; at least 1.
        now_ms: The wall clock; None: the system's.

    Returns:
        Names of the snapshots removed.

    Raises:
        SnapshotLocationError: The location does not answer.

    """
    before_ms = (now_ms or time.time_ns() // 1_000_000) - _REST_MS
    snapshots = location.snapshots()
    gone = [*_surplus(_of(snapshots, identity), max(keep, 1), before_ms), *_cut(location, snapshots, before_ms)]
    for one in gone:
        log.info("%s: snapshot %s is removed", location.url, one.name)
        location.remove(one.name)
    left = [one for one in location.snapshots() if one not in gone]
    if all(one.state != "unknown" for one in left):
        _sweep(location, left, before_ms)
    return [one.name for one in gone]


def needed_from(snapshots: list[Snapshot], identity: StoreIdentity) -> int:
    """The offset from which on the log is needed, so that every complete snapshot can be continued; 0 without any."""
    positions = [one.manifest.position for one in _of(snapshots, identity) if one.manifest and one.state == "complete"]
    return min(positions, default=0)


def _of(snapshots: list[Snapshot], identity: StoreIdentity | None) -> list[Snapshot]:
    return [
        one
        for one in snapshots
        if one.manifest and (identity is None or one.manifest.identity.agreed(identity) is not None)
    ]


def _surplus(snapshots: list[Snapshot], keep: int, before_ms: int) -> Iterator[Snapshot]:
    """Those with `keep` complete ones after them, the last of which came before `before_ms`; latest first."""
    later: list[int] = []
    for one in snapshots:
        if len(later) >= keep and later[-keep] < before_ms:
            yield one
        if one.manifest and one.state == "complete":
            later.append(one.manifest.created_ms)


def _cut(location: SnapshotLocation, snapshots: list[Snapshot], before_ms: int) -> Iterator[Snapshot]:
    """Manifests that cannot be read: a writer was killed in the middle of one, or the location lost some of it."""
    for one in snapshots:
        if one.state == "damaged" and location.written_ms(one.name) < before_ms:
            yield one


def _sweep(location: SnapshotLocation, left: list[Snapshot], before_ms: int) -> None:
    needed = {file.digest for one in left if one.manifest for file in one.manifest.files}
    for digest in location.files():
        if digest not in needed and location.file_written_ms(digest) < before_ms:
            location.remove_file(digest)
