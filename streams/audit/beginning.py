"""Where an audit begins when the log no longer reaches back to where the store did: at a verified snapshot.

Invariant: a snapshot is used only if a copy that follows the log and the store's own rules must hold the same at that
position: same log, same beginning, same rules up to there, same conversion. Every byte of it is checked first.

Of the snapshots that the log can continue the oldest is taken: the more of the log is read, the more is proven by it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Protocol

from muse_stream.state.errors import StateError
from muse_stream.state.moment import StoreReader
from muse_stream.state.snapshot_keeping import fitting
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshot_manifest import Manifest
from muse_stream.state.snapshots import fetch


class Beginnings(Protocol):
    """Gives the audit something to begin with."""

    def of(self, store: StoreReader, first: int) -> AbstractContextManager[StoreReader | None]:
        """A store from which a log that begins at `first` leads to `store`; None where there is none."""


class NoBeginnings:
    """Nowhere to look."""

    @contextmanager
    def of(self, store: StoreReader, first: int) -> Iterator[StoreReader | None]:
        """None."""
        yield None


class SnapshotBeginnings:
    """Looks in a location of snapshots, and fetches what it uses into a temporary directory.

    Attributes:
        refused: Snapshots that would have fitted and could not be used, with the reason.

    """

    def __init__(self, location: str, scratch: Path | None = None) -> None:
        """Prepare; `scratch` is where temporary directories are made, None: where the system puts them."""
        self._location, self._scratch = location, scratch
        self.refused: list[str] = []

    @contextmanager
    def of(self, store: StoreReader, first: int) -> Iterator[StoreReader | None]:
        """The oldest snapshot that fits and is undamaged.

        Raises:
            SnapshotLocationError: The location does not answer.

        """
        identity = store.identity
        location = SnapshotLocation(self._location, identity.topic, identity.partition)
        candidates = [one for one in fitting(location, identity, first, store.position) if leads_to(one, store)]
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="muse-audit-") as directory:
            for manifest in reversed(candidates):
                into = Path(directory) / manifest.name
                try:
                    fetch(manifest, location, into)
                except StateError as error:
                    self.refused.append(f"{manifest.name}: {error}")
                    continue
                with closing(StoreReader.open(into)) as found:
                    yield found
                return
            yield None


def leads_to(manifest: Manifest, store: StoreReader) -> bool:
    """Whether a copy at the snapshot's position must hold what the snapshot does, by the store's own account."""
    known = len(manifest.rules)
    return (
        tuple(store.rules[:known]) == manifest.rules
        and all(change.offset >= manifest.position for change in store.rules[known:])
        and store.start_position == manifest.start_position
        and store.undated_until == manifest.undated_until
    )
