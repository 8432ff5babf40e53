"""A store of artefacts: one folder per model in a directory, or at any location that fsspec knows.

    <location>/<name>/artefact.json    manifest, of any format that names its digest, space and features
    <location>/<name>/<file>...        what else the artefact consists of

Models are only added and removed, never changed. A folder whose name begins with a dot is somebody's unfinished copy,
no model; but not everybody writes in one step, so a folder may be half there: its entry then has a `problem`.

Invariant: what `fetch` gives has the digest asked for; a copy in the cache was loaded once, which checks every value.
"""

from __future__ import annotations

import math
import posixpath
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fsspec.core import url_to_fs

from muse_stream.esu_scorer.artefact import MANIFEST_FILE
from muse_stream.esu_scorer.config import RECENT_COUNT, RETRIEVED_COUNT
from muse_stream.esu_scorer.errors import (
    EsuError,
    FeatureError,
    StoreDigestError,
    StoreIncompleteError,
    StoreMissingError,
    StoreNameError,
    StoreUnreachableError,
)
from muse_stream.esu_scorer.features import Feature, FeatureSpec
from muse_stream.esu_scorer.files import new_directory
from muse_stream.esu_scorer.store_cache import cached, check_whole, digest_of_whole

NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""A model's name: a folder name everywhere, and never a path."""

_NAME_RULE = "take 1 to 100 letters, digits, '.', '_' and '-', beginning with a letter or digit"
_NAME = re.compile(NAME_PATTERN)
_SHOWN = ("version", "digest", "format", "space", "k", "r", "trained", "metrics")
_ITEM_BYTES = {"float32": 4, "int64": 8}


class _Tensor(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]


class _Features(msgspec.Struct):
    candidate: list[str | Feature]
    user: list[str | Feature] = []

    def spec(self) -> FeatureSpec:
        """As a specification; a format that names features without widths embeds them by itself: they are 1 wide."""
        return FeatureSpec(_sized(self.candidate), _sized(self.user))


def _sized(features: list[str | Feature]) -> tuple[Feature, ...]:
    return tuple(Feature(one, 1) if isinstance(one, str) else one for one in features)


class _Manifest(msgspec.Struct, kw_only=True):
    """What every format's manifest says alike; the defaults are theirs."""

    format: str
    version: str
    digest: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    trained: bool = True
    space: str
    k: int = RETRIEVED_COUNT
    r: int = RECENT_COUNT
    features: _Features
    metrics: dict[str, float] = {}
    tensors: dict[str, _Tensor] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of a store.

    Attributes:
        name: Its folder.
        digest: Names the model in answers; empty where the manifest cannot be read, as all that follows.
        version: For people.
        format: Kind of artefact.
        space: Vector space that it was trained on.
        k: Retrieved behaviours that it reads.
        r: Recent behaviours that it reads.
        trained: False for seeded first weights.
        features: What it reads, None where the manifest cannot be read; widths are 1 where the format has none.
        metrics: What its training measured.
        created_ms: When its manifest was written, by the location's clock, milliseconds since the epoch.
        size_bytes: All its files together.
        problem: Why it cannot be used, with what to do; None where nothing is seen without reading it whole.

    """

    name: str
    digest: str = ""
    version: str = ""
    format: str = ""
    space: str = ""
    k: int = 0
    r: int = 0
    trained: bool = False
    features: FeatureSpec | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    created_ms: int = 0
    size_bytes: int = 0
    problem: str | None = None


class ModelStore:
    """One store. All but `add` only read it, and write into the cache. Any thread.

    Attributes:
        location: As given.

    """

    def __init__(self, location: str, cache: Path) -> None:
        """Find the file system; nothing is read yet.

        Args:
            location: A path, or a URL that fsspec knows.
            cache: Where copies of models of a remote location lie; local disk.

        Raises:
            StoreUnreachableError: No such kind of file system, or its package is not installed.

        """
        self.location, self._cache = location, cache
        self._copying: dict[str, threading.Lock] = {}
        try:
            self._fs, self._root = url_to_fs(location)
        except (ValueError, ImportError, OSError) as error:
            msg = (
                f"{location} is not a location ({error}); write a path, or a URL of a kind that fsspec knows, and "
                f"install its package (s3fs, gcsfs, adlfs, ...)"
            )
            raise StoreUnreachableError(msg) from error
        self._local = "file" in ((self._fs.protocol,) if isinstance(self._fs.protocol, str) else self._fs.protocol)

    def entries(self) -> list[Entry]:
        """All models, by name. Raises `StoreUnreachableError`; a location that does not exist is one."""
        with self._talking():
            listed = self._list(self._root)
        return [self._entry(name) for name, size in sorted(listed.items()) if size is None and name[0] != "."]

    def entry(self, name: str) -> Entry:
        """One model. Raises `StoreMissingError`, `StoreUnreachableError`."""
        if _NAME.fullmatch(name):
            with self._talking():
                listed = self._list(self._root)
            if name in listed and listed[name] is None:
                return self._entry(name)
        raise StoreMissingError(self._no_such(name))

    def by_digest(self, digest: str) -> Entry | None:
        """The model of that digest; of several equal ones the first by name. Raises `StoreUnreachableError`."""
        return next((entry for entry in self.entries() if entry.digest == digest), None)

    def manifest(self, name: str) -> dict[str, Any]:
        """Its manifest as plain JSON values. Raises `StoreMissingError`, `StoreIncompleteError`."""
        self.entry(name)
        try:
            return msgspec.json.decode(self._read(name), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"{self.location}: {name}: {_unreadable(error)}"
            raise StoreIncompleteError(msg) from error

    def fetch(self, name: str, digest: str | None = None) -> Path:
        """A local directory with the whole artefact: its own where the location is local, else a copy in the cache.

        A copy is made once, whoever asks meanwhile waits for it, and is loaded before it counts. Of a local artefact
        only names and sizes are looked at, since whoever loads it checks its values. The cache keeps the copies used
        last.

        Args:
            name: The model.
            digest: What it has to be; None: whatever it is now.

        Raises:
            StoreMissingError: There is no such model.
            StoreDigestError: It has another digest.
            StoreIncompleteError: Files are missing or cut, or a value is not what the digest says.
            StoreUnreachableError: The location does not answer.
            OSError: The cache cannot be written.

        """
        entry = self.entry(name)
        if entry.problem is not None:
            msg = f"{self.location}: {name}: {entry.problem}"
            raise StoreIncompleteError(msg)
        if digest not in {None, entry.digest}:
            msg = (
                f"{self.location}: {name} has digest {entry.digest[:12]}…, asked for {str(digest)[:12]}…: it was "
                f"replaced after it was chosen; activate it again, or put the other one back"
            )
            raise StoreDigestError(msg)
        if self._local:
            return Path(self._path(name))
        with self._copying.setdefault(entry.digest, threading.Lock()):
            return cached(self._cache, entry.digest, lambda into: self._copy(name, into))

    def verify(self, name: str, digest: str | None = None) -> Entry:
        """Load the whole artefact, which checks every value of it; what it is. Raises as `fetch` does."""
        path, entry = self.fetch(name, digest), self.entry(name)
        if self._local:
            check_whole(path, entry.digest)
        return entry

    def add(self, name: str, path: Path) -> Entry:
        """Copy the artefact in directory `path` into the store, after it was loaded once; what it is there.

        Into a directory it comes whole or not at all. Elsewhere its manifest comes last, and before that it has a
        `problem`.

        Raises:
            ArtefactError: It is not whole.
            StoreNameError: The name is taken, or none that a model can have.
            StoreUnreachableError: The location does not answer.

        """
        if not _NAME.fullmatch(name):
            msg = f"{name!r} is no name of a model; {_NAME_RULE}"
            raise StoreNameError(msg)
        digest_of_whole(path)
        try:
            files = [file for file in path.iterdir() if file.is_file()]
            self._put(name, sorted(files, key=lambda file: file.name == MANIFEST_FILE))
        except FileExistsError as error:
            msg = f"{self.location} has a model {name!r}, and models are never overwritten; choose another name"
            raise StoreNameError(msg) from error
        return self._entry(name)

    def _put(self, name: str, files: list[Path]) -> None:
        """Write a folder, file by file in this order. Raises `FileExistsError`."""
        if self._local:
            with new_directory(Path(self._path(name))) as staging:
                for file in files:
                    shutil.copyfile(file, staging / file.name)
            return
        with self._talking():
            taken = self._fs.exists(self._path(name))
        if taken:
            raise FileExistsError(name)
        with self._talking():
            self._fs.makedirs(self._path(name), exist_ok=True)
            for file in files:
                self._fs.put_file(str(file), self._path(name, file.name))

    def _copy(self, name: str, into: Path) -> None:
        with self._talking():
            for file in self._list(self._path(name)):
                self._fs.get_file(self._path(name, file), str(into / file))

    def _entry(self, name: str) -> Entry:
        """What is there under a folder's name."""
        if not _NAME.fullmatch(name):
            return Entry(name, problem=f"no name of a model; {_NAME_RULE}")
        sizes, created_ms = self._look(name)
        entry = Entry(name, created_ms=created_ms, size_bytes=sum(sizes.values()))
        if MANIFEST_FILE not in sizes:
            return replace(entry, problem=f"half-written: no {MANIFEST_FILE} among {sorted(sizes)}; copy it again")
        try:
            found = msgspec.json.decode(self._read(name), type=_Manifest)
            features = found.features.spec()
        except (StoreIncompleteError, msgspec.DecodeError, UnicodeDecodeError, FeatureError) as error:
            return replace(entry, problem=_unreadable(error))
        missing = _tensor_bytes(found) - (entry.size_bytes - sizes[MANIFEST_FILE])
        half = f"half-written: {missing:,} bytes of its tensors are missing; copy it again"
        said = {key: getattr(found, key) for key in _SHOWN}
        return replace(entry, **said, features=features, problem=half if missing > 0 else None)

    def _look(self, name: str) -> tuple[dict[str, int], int]:
        """Sizes of the files of a folder, and when its manifest was written; none where it has just been removed."""
        with self._talking():
            try:
                sizes = {file: size for file, size in self._list(self._path(name)).items() if size is not None}
                return sizes, self._created_ms(name) if MANIFEST_FILE in sizes else 0
            except FileNotFoundError:
                return {}, 0

    def _read(self, name: str) -> bytes:
        with self._talking():
            try:
                return bytes(self._fs.cat_file(self._path(name, MANIFEST_FILE)))
            except FileNotFoundError as error:
                msg = f"{self.location}: {name} has no {MANIFEST_FILE}: it is half-written or was removed; look again"
                raise StoreIncompleteError(msg) from error

    def _created_ms(self, name: str) -> int:
        when = self._fs.modified(self._path(name, MANIFEST_FILE))
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1e3)

    def _list(self, path: str) -> dict[str, int | None]:
        """Names with sizes; None for a directory, a link to one included."""
        self._fs.invalidate_cache(path)
        found: dict[str, int | None] = {}
        for one in self._fs.ls(path, detail=True):
            is_link = one["type"] not in {"directory", "file"}
            is_directory = self._fs.isdir(one["name"]) if is_link else one["type"] == "directory"
            found[posixpath.basename(one["name"].rstrip("/"))] = None if is_directory else int(one["size"])
        return found

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Whatever a file system raises becomes a `StoreUnreachableError`."""
        try:
            yield
        except EsuError:
            raise
        except Exception as error:
            msg = (
                f"{self.location}: the model store does not answer, or refuses ({type(error).__name__}: {error}); look "
                f"at the address, the network, permissions and credentials, then try again"
            )
            raise StoreUnreachableError(msg) from error

    def _path(self, *parts: str) -> str:
        return posixpath.join(self._root, *parts)

    def _no_such(self, name: str) -> str:
        names = [entry.name for entry in self.entries()]
        there = ", ".join(names[:20]) if names else "none"
        return f"{self.location} has no model {name!r} (there: {there}); `muse-stream models list` shows what it has"


def _unreadable(error: Exception) -> str:
    return f"{MANIFEST_FILE} cannot be read ({error}); export or copy it again"


def _tensor_bytes(manifest: _Manifest) -> int:
    """The least that its tensors need on disk; 0 for a format that lists none, or dtypes unknown here."""
    return sum(_ITEM_BYTES.get(tensor.dtype, 0) * math.prod(tensor.shape) for tensor in manifest.tensors.values())
