"""Where the snapshots of one partition lie: a directory of any file system that fsspec knows.

Invariant: a snapshot exists once its manifest does, which is written after all of its files are there.

    <location>/<topic>-<partition>/<position>-<digest>.json    manifests, see `snapshot_manifest.py`
    <location>/<topic>-<partition>/files/<digest>              files of stores, named by their content

Files of equal content are one file, so a snapshot costs what no earlier one has. That is most useful for RocksDB's
tables, which never change. The price is that a file can be removed only when no manifest names it.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from typing import IO, Any, Literal

from fsspec.core import url_to_fs

from muse_stream.state.errors import (
    SnapshotDamagedError,
    SnapshotFormatError,
    SnapshotLocationError,
    StateError,
)
from muse_stream.state.snapshot_manifest import Manifest

_PARTITION = re.compile(r"(.+)-(\d+)")
_SUFFIX = ".json"
_FILES = "files"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot as it lies there.

    Attributes:
        name: Its name in the location.
        state: `complete`: all files are there in their sizes. `incomplete`: some are not. `damaged`: the manifest
            cannot be read. `unknown`: another version wrote it.
        manifest: What it says; None where it cannot be read.
        problem: What is wrong, with the operator's action; empty for a complete one.

    """

    name: str
    state: Literal["complete", "incomplete", "damaged", "unknown"]
    manifest: Manifest | None = None
    problem: str = ""


class SnapshotLocation:
    """The snapshots of one partition.

    Attributes:
        url: As given, with the partition.
        topic: The behaviours topic.
        partition: The partition.

    """

    def __init__(self, location: str, topic: str, partition: int) -> None:
        """Find the file system; nothing is read yet.

        Raises:
            SnapshotLocationError: No such kind of file system, or its package is not installed.

        """
        self.url = posixpath.join(location, f"{topic}-{partition}")
        self.topic, self.partition = topic, partition
        self._fs, root = file_system(location)
        self._root = posixpath.join(root, f"{topic}-{partition}")

    def snapshots(self) -> list[Snapshot]:
        """All of them, latest first; manifests that cannot be read at the end.

        Raises:
            SnapshotLocationError: The location does not answer.

        """
        sizes = self.files()
        found = [one for one in (self._read(name, sizes) for name in self._names()) if one is not None]
        return sorted(found, key=lambda one: one.manifest.created_ms if one.manifest else 0, reverse=True)

    def manifest(self, name: str) -> Manifest:
        """One manifest. Raises SnapshotError: one of its kinds."""
        with self.talking():
            raw = bytes(self._fs.cat_file(self._path(name + _SUFFIX)))
        return Manifest.from_bytes(name, raw)

    def files(self) -> dict[str, int]:
        """Sizes of the files by digest, those of unfinished uploads included."""
        return {name: size for name, size in self._list(_FILES) if size is not None}

    @contextmanager
    def reading(self, digest: str) -> Iterator[IO[bytes]]:
        """A file to read."""
        with self.talking(), self._fs.open(self._path(_FILES, digest), "rb") as file:
            yield file

    @contextmanager
    def writing(self, digest: str) -> Iterator[IO[bytes]]:
        """A file to write; on a local disk it is on the disk afterwards."""
        with self.talking():
            self._fs.makedirs(self._path(_FILES), exist_ok=True)
            with self._fs.open(self._path(_FILES, digest), "wb") as file:
                yield file
                _sync(file)

    def publish(self, manifest: Manifest) -> None:
        """Write the manifest: from now on the snapshot exists."""
        with self.talking(), self._fs.open(self._path(manifest.name + _SUFFIX), "wb") as file:
            file.write(manifest.to_bytes())
            _sync(file)

    def remove(self, name: str) -> None:
        """Remove a manifest: from now on the snapshot does not exist."""
        with self.talking(), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name + _SUFFIX))

    def remove_file(self, digest: str) -> None:
        """Remove a file that no manifest names."""
        with self.talking(), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(_FILES, digest))

    def written_ms(self, name: str) -> int:
        """When a manifest was last written, by the location's clock, milliseconds since the epoch."""
        return self._written_ms(self._path(name + _SUFFIX))

    def file_written_ms(self, digest: str) -> int:
        """When a file was last written, by the location's clock, milliseconds since the epoch."""
        return self._written_ms(self._path(_FILES, digest))

    @contextmanager
    def talking(self) -> Iterator[None]:
        """Whatever a file system raises becomes a SnapshotLocationError."""
        try:
            yield
        except StateError:
            raise
        except Exception as error:
            found = f"the location does not answer, or refuses ({type(error).__name__}: {error})."
            action = "look at the address, the network, permissions and credentials, and whether there is room."
            raise SnapshotLocationError(self.url, found, action) from error

    def _read(self, name: str, sizes: dict[str, int]) -> Snapshot | None:
        """What lies there under a name; None where somebody has just removed it."""
        try:
            manifest = self.manifest(name)
        except SnapshotLocationError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        except SnapshotDamagedError as error:
            return Snapshot(name, "damaged", problem=str(error))
        except SnapshotFormatError as error:
            return Snapshot(name, "unknown", problem=str(error))
        missing = [file for file in manifest.files if sizes.get(file.digest) != file.bytes]
        if missing:
            problem = f"{len(missing)} of {len(manifest.files)} files are missing or cut; use another snapshot"
            return Snapshot(name, "incomplete", manifest, problem)
        return Snapshot(name, "complete", manifest)

    def _names(self) -> list[str]:
        return [name.removesuffix(_SUFFIX) for name, size in self._list() if size is not None and _SUFFIX in name]

    def _list(self, *below: str) -> list[tuple[str, int | None]]:
        """Names with sizes; None for a directory."""
        path = self._path(*below)
        with self.talking():
            return list_directory(self._fs, path)

    def _written_ms(self, path: str) -> int:
        with self.talking():
            when = self._fs.modified(path)
            return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1e3)

    def _path(self, *parts: str) -> str:
        return posixpath.join(self._root, *parts)


def partitions(location: str) -> list[tuple[str, int]]:
    """Topic and partition of everything that has snapshots there.

    Raises:
        SnapshotLocationError: The location does not answer, or is none.

    """
    fs, root = file_system(location)
    with SnapshotLocation(location, "", 0).talking():
        names = [name for name, size in list_directory(fs, root) if size is None]
    found = [_PARTITION.fullmatch(name) for name in names]
    return sorted((match[1], int(match[2])) for match in found if match)


def file_system(location: str) -> tuple[Any, str]:
    """File system and path of a location. Raises SnapshotLocationError: there is none of that kind."""
    try:
        fs, root = url_to_fs(location)
    except (ValueError, ImportError, OSError) as error:
        action = (
            "write a path, or a URL of a kind that fsspec knows, and install its package (s3fs, gcsfs, adlfs, ...)."
        )
        raise SnapshotLocationError(location, f"not a location ({error}).", action) from error
    return fs, root


def list_directory(fs: Any, path: str) -> list[tuple[str, int | None]]:  # noqa: ANN401 - fsspec has no types
    """Names with sizes, None for directories; nothing where the directory does not exist."""
    fs.invalidate_cache(path)
    try:
        entries = fs.ls(path, detail=True)
    except FileNotFoundError:
        return []
    return [
        (posixpath.basename(entry["name"].rstrip("/")), None if entry["type"] == "directory" else int(entry["size"]))
        for entry in entries
    ]


def _sync(file: IO[bytes]) -> None:
    """Make a local file durable; others have no descriptor."""
    file.flush()
    try:
        number = file.fileno()
    except OSError:
        return
    os.fsync(number)
