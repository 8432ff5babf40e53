"""Copies of artefacts of a remote store, by digest.

    <cache>/<digest>/    a whole artefact, loaded once after it was copied
    <cache>/.<digest>.*  a copy in the making

Invariant: a directory without a dot is whole. The `KEPT` that were used last stay; a directory's modification time is
when it was last asked for.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from muse_stream.esu_scorer.errors import ArtefactError, StoreIncompleteError
from muse_stream.esu_scorer.files import new_directory
from muse_stream.esu_scorer.loading import load_model

KEPT = 4
"""The live model, a shadow, the one being loaded, and the one that a rollback goes back to."""
ABANDONED_SECONDS = 24 * 3600
"""A copy in the making is nobody's after so long: 10 GB over 10 Mbit/s take 2.5 hours."""


def cached(cache: Path, digest: str, copy: Callable[[Path], None]) -> Path:
    """The directory of the artefact `digest`; `copy` fills a new one where the cache does not have it.

    Raises `StoreIncompleteError` when what was copied is not that artefact, what `copy` raises, `OSError`.
    """
    place = cache / digest
    if not place.is_dir():
        # Another thread or process that was faster has put the same there.
        with suppress(FileExistsError), new_directory(place) as staging:
            copy(staging)
            check_whole(staging, digest)
    os.utime(place)
    _prune(cache)
    return place


def digest_of_whole(path: Path) -> str:
    """Load the artefact in `path`, of whatever kind, which checks every value; its digest. Raises `ArtefactError`."""
    return load_model(path, device="cpu").info.digest


def check_whole(path: Path, digest: str) -> None:
    """Load the artefact in `path`. Raises `StoreIncompleteError` unless it is whole and has that digest."""
    try:
        found = digest_of_whole(path)
    except ArtefactError as error:
        msg = f"model {digest[:12]}… is not whole: {error}"
        raise StoreIncompleteError(msg) from error
    if found != digest:
        msg = f"model {digest[:12]}… has digest {found[:12]}… by now: it was replaced meanwhile; try again"
        raise StoreIncompleteError(msg)


def _prune(cache: Path) -> None:
    """Remove what is surplus. Another process may do the same: what is gone already is no trouble."""
    now = time.time()
    found = [(_used(path), path) for path in cache.iterdir() if path.is_dir()]
    whole = sorted(pair for pair in found if not pair[1].name.startswith("."))
    making = [pair for pair in found if pair[1].name.startswith(".") and pair[0] < now - ABANDONED_SECONDS]
    for _, path in [*whole[:-KEPT], *making]:
        shutil.rmtree(path, ignore_errors=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
