"""Directories and files that are there whole or not at all, also after a power loss."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from muse_stream.esu_scorer.errors import ArtefactExistsError


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A sibling to write into, renamed to `path` when the body is through; removed when it is not.

    Every file written in it is flushed to disk before the rename. Raises `FileExistsError`: `path` is taken, found
    before the rename or by it; nothing is ever overwritten. Raises `OSError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield staging
        for file in staging.iterdir():
            flush(file)
        flush(staging)
        staging.chmod(0o755)
        _rename_new(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    flush(path.parent)


def save_artefact(path: Path, files: Mapping[str, bytes]) -> None:
    """Write these files, by name, into the new directory `path`. Raises `ArtefactExistsError`, `OSError`."""
    try:
        with new_directory(path) as staging:
            for name, data in files.items():
                (staging / name).write_bytes(data)
    except FileExistsError as error:
        msg = f"{path} exists, and artefacts are never overwritten; choose a new name or remove it first"
        raise ArtefactExistsError(msg) from error


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in the place of `path`, or where there is none. Raises `OSError`."""
    staging = path.with_name(f".{path.name}.new")
    staging.write_bytes(data)
    flush(staging)
    staging.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Bring a file's bytes or a directory's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename_new(staging: Path, path: Path) -> None:
    """Rename, but not over anything: the directory of a second saver that lost the race is not empty either."""
    taken = path.exists()
    try:
        if not taken:
            staging.rename(path)
    except OSError:
        if not path.exists():
            raise
        taken = True
    if taken:
        raise FileExistsError(path)
