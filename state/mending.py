"""Before RocksDB opens a store: what its write-ahead logs still hold as one unbroken run, and what must go.

Invariant: what RocksDB is given to read holds each change exactly once and in order, from the last one that is in
tables on: no damage, no gap, nothing behind either. So what opens is an exact prefix of what was written, also where
the disk lost a piece in the middle, or a whole file.

From the first damage or gap on everything is put aside, later files included, and the log says so. Nobody is told of a
change in a way that would bind us to keep it: position and rows go together, so what was dropped is read again from the
topic. What was put aside lies beside the store (`000012.log.torn`) for whoever wants to look; nothing reads it.
A file that ends in the middle of a record is what any killed process leaves, and RocksDB reads it rightly.
"""

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from muse_stream.state.disk import sync_directory
from muse_stream.state.errors import DamagedStoreError, damaged
from muse_stream.state.journal import End, Journal, read_journal
from muse_stream.state.manifest import Manifest, ManifestError, read_manifest

log = logging.getLogger(__name__)

TORN = ".torn"

_JOURNAL = re.compile(r"\d+\.log")


@dataclass(frozen=True, slots=True)
class Break:
    """Where the run of changes ends before the files do.

    Attributes:
        at: The file of it.
        keep_bytes: How much of that file still belongs to the run.
        behind: Later files that hold something.
        why: What is wrong there.

    """

    at: Journal
    keep_bytes: int
    behind: tuple[Journal, ...]
    why: str

    def __str__(self) -> str:
        lost = sum(journal.size for journal in self.behind) + self.at.size - self.keep_bytes
        return (
            f"{self.at.path.name} at byte {self.keep_bytes} of {self.at.size}: {self.why}; {lost} bytes from there on"
        )


def mend(path: Path) -> None:
    """Put aside what no longer follows; the caller alone uses the directory, and may write it.

    Raises:
        DamagedStoreError: The list of files is damaged.
        OSError: The disk refuses; nothing is lost, and the next call does what is left to do.

    """
    found = find_break(path)
    if found is None:
        return
    log.error(
        "%s: the write-ahead log is broken in %s are put aside as *%s and read again from the topic. Operator action: "
        "none after a power loss; else look at the disk. Delete the files when you have seen them.",
        path,
        found,
        TORN,
    )
    for journal in reversed(found.behind):
        journal.path.rename(_aside(journal))
    _cut(found.at, found.keep_bytes)
    sync_directory(path)


def require_unbroken(path: Path) -> None:
    """Raise DamagedStoreError where `mend` would have to change something."""
    found = find_break(path)
    if found is not None:
        action = "let the worker open it once, which puts that aside; or read another copy."
        raise DamagedStoreError(path, f"the write-ahead log is broken in {found} cannot be read.", action)


def find_break(path: Path) -> Break | None:
    """Where the changes of the store in `path` cease to follow each other, if they do.

    Raises:
        DamagedStoreError: The list of files is damaged.
        OSError: A file cannot be read, or is gone since it was listed.

    """
    try:
        manifest = read_manifest(path)
    except ManifestError as error:
        raise damaged(path, f"{error}.") from error
    numbered = sorted((int(file.stem), file) for file in path.iterdir() if _JOURNAL.fullmatch(file.name))
    journals = [read_journal(file) for number, file in numbered if number >= manifest.log_number]
    return _first_break(manifest, journals)


def _first_break(manifest: Manifest, journals: list[Journal]) -> Break | None:
    following = manifest.last_sequence + 1
    for place, journal in enumerate(journals):
        behind = tuple(later for later in journals[place + 1 :] if later.size)
        first = journal.first_sequence
        if first is not None and first > following:
            return Break(journal, 0, behind, f"changes {following} to {first - 1} are missing before it")
        if journal.end is End.DAMAGED:
            return Break(journal, journal.whole_bytes, behind, "damaged")
        following = journal.next_sequence or following
    return None


def _cut(journal: Journal, keep_bytes: int) -> None:
    with journal.path.open("r+b") as file:
        file.seek(keep_bytes)
        with _aside(journal).open("wb") as aside:
            while piece := file.read(1 << 20):
                aside.write(piece)
            aside.flush()
            os.fsync(aside.fileno())
        file.truncate(keep_bytes)
        os.fsync(file.fileno())


def _aside(journal: Journal) -> Path:
    return journal.path.with_name(journal.path.name + TORN)
