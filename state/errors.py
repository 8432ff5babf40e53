"""Everything this room raises.

    StateError
    ├── StoreOpenError            the directory cannot be used
    │   ├── NotAStoreError        something else lives there
    │   ├── DamagedStoreError     RocksDB, or a check of ours, found it broken
    │   ├── StoreDiskError        the disk refuses: no space, read-only, no permission; the store may be whole
    │   ├── StoreLockedError      another process or store object has it open
    │   ├── UnknownLayoutError    written by another version
    │   └── IdentityError         belongs to another cluster, topic or partition
    ├── RuleError                 a rule that this version cannot keep
    ├── BatchError                columns that contradict each other
    ├── PositionError             an append that would leave a hole, or whose position does not cover its rows
    ├── StoreClosedError          used after close
    ├── StoreWriteError           RocksDB refused a write
    └── SnapshotError             a snapshot cannot be written, found or restored
        ├── SnapshotLocationError the location does not answer, or refuses
        ├── SnapshotDamagedError  it is not what was written
        ├── SnapshotFormatError   another version of the program wrote it
        └── SnapshotTargetError   the directory to restore into is in use

Each message says what was found, what was expected and, after "Operator action:", what to do.
"""

from pathlib import Path


class StateError(Exception):
    """Base of all errors of the durable state."""


class StoreOpenError(StateError):
    """A store directory cannot be used.

    Attributes:
        path: The directory.

    """

    def __init__(self, path: Path, found: str, action: str) -> None:
        super().__init__(f"{path}: {found} Operator action: {action}")
        self.path = path


class NotAStoreError(StoreOpenError):
    """The directory holds something that is not a store of this kind."""


class DamagedStoreError(StoreOpenError):
    """RocksDB cannot open or read the directory, or its content contradicts itself."""


def damaged(path: Path, found: str) -> DamagedStoreError:
    """The error with the advice that fits all damage."""
    action = "look at the disk; then move the directory away, and restore a snapshot or let the log be replayed."
    return DamagedStoreError(path, found, action)


class StoreDiskError(StoreOpenError):
    """The disk refuses what opening needs (space, permission); it may pass, and the store itself may be whole."""


class StoreLockedError(StoreOpenError):
    """Another process, or another object of this one, holds the store open."""


class UnknownLayoutError(StoreOpenError):
    """The store was written in a layout that this version does not know."""


class IdentityError(StoreOpenError):
    """The store was built from another log than the one it is opened for."""


class RuleError(StateError):
    """A rule has a value that cannot be kept."""


class BatchError(StateError):
    """The columns of a batch contradict each other."""


class PositionError(StateError):
    """An append would leave a hole in the log prefix, or its position does not cover its rows."""


class StoreClosedError(StateError):
    """The store, or the moment taken from it, was closed."""


class StoreWriteError(StateError):
    """RocksDB refused a write; the store still holds the prefix up to its position."""


class SnapshotError(StateError):
    """A snapshot cannot be written, found or restored; no store was changed."""

    def __init__(self, where: object, found: str, action: str) -> None:
        super().__init__(f"{where}: {found} Operator action: {action}")


class SnapshotLocationError(SnapshotError):
    """The location of snapshots does not answer, refuses, or is none."""


class SnapshotDamagedError(SnapshotError):
    """A snapshot, or a file of it, is not what was written."""


class SnapshotFormatError(SnapshotError):
    """Another version of the program wrote the snapshot."""


class SnapshotTargetError(SnapshotError):
    """The directory to restore into holds something, or is being restored into by somebody else."""
