"""A worker's state directory, store by store, against the cluster that the settings name.

Invariant: a store is compared with the log that it was built from, or not at all.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from muse_stream.state.moment import StoreReader
from muse_stream.streams.audit.beginning import SnapshotBeginnings
from muse_stream.streams.audit.log import Log
from muse_stream.streams.audit.report import PartitionReport
from muse_stream.streams.audit.run import Advance, audit_store
from muse_stream.streams.clients import open_admin
from muse_stream.streams.errors import AuditError
from muse_stream.streams.kafka.admin import cluster_id
from muse_stream.streams.settings import Settings

Progress = Callable[[str], AbstractContextManager[Advance]]
"""Shows how far something has come, within a block; told what is counted."""


@contextmanager
def no_progress(what: str) -> Iterator[Advance]:
    """Show nothing."""
    del what
    yield lambda done, wanted: None


def stores(directory: Path, wanted: tuple[int, ...] = ()) -> list[Path]:
    """The store directories, by partition, of all or of the wanted. Raises `AuditError` where there are none."""
    found = {int(path.name.removeprefix("behaviours-")): path for path in directory.glob("behaviours-*")}
    missing = [number for number in wanted if number not in found]
    if missing or not found:
        what = f"no store of partition {missing[0]}" if missing else "no stores"
        message = f"{directory.resolve()} holds {what}; name the directory of a worker with --data-dir"
        raise AuditError(message)
    return [path for number, path in sorted(found.items()) if number in (wanted or found)]


def audit_one(
    settings: Settings,
    path: Path,
    location: str | None = None,
    *,
    progress: Progress = no_progress,
    refused: Callable[[str], None] = lambda text: None,
) -> PartitionReport:
    """Audit one store.

    Args:
        settings: Name the cluster and the actions.
        path: The store.
        location: Snapshots to begin with where the log no longer reaches back; None: nowhere.
        progress: Shows how far it has come.
        refused: Told of snapshots that cannot be used.

    Raises:
        AuditError: The store was built from another cluster.
        StateError, StreamsError: What `audit_store` raises.

    """
    with closing(StoreReader.open(path)) as reader:
        identity = reader.identity
    with open_admin(settings) as admin:
        cluster = cluster_id(admin)
    if identity.cluster_id != cluster:
        found = f"{path} was built from cluster {identity.cluster_id}, {settings.kafka.brokers} is {cluster}"
        message = f"{found}; name its brokers with --brokers"
        raise AuditError(message)
    beginnings = SnapshotBeginnings(location) if location else None
    with closing(Log(settings.kafka.brokers, settings.kafka.security)) as log, progress(path.name) as advance:
        report = audit_store(path, log, settings.actions, advance, beginnings)
    for text in beginnings.refused if beginnings else ():
        refused(f"partition {report.partition}: snapshot refused: {text}")
    return report
