"""Snapshots of one partition: seconds, bytes and what ingest loses; the next one; the way back.

A store of 10 million behaviours with event ids goes to a directory, once as a whole and once after another 2 % of them.
Meanwhile behaviours are appended at a steady 20 000/s in batches of 200, and the longest time between two appends is
compared with that of as long a time without a snapshot. Without peers.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from muse_stream.benchmarks.append import behaviours, zipf_users
from muse_stream.benchmarks.report import Row
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.snapshot_location import SnapshotLocation
from muse_stream.state.snapshot_manifest import Manifest
from muse_stream.state.snapshots import fetch, write
from muse_stream.state.store import BehaviourStore

LARGE, SMALL = 10_000, 200
SMALL_PER_SECOND = 100
QUIET_SECONDS = 5.0
T = TypeVar("T")


def run(rows: int = 10_000_000, *, quick: bool = False) -> list[Row]:
    """One row per figure.

    Args:
        rows: Behaviours in the store.
        quick: A tenth of them.

    """
    with tempfile.TemporaryDirectory() as directory:
        return _Run(Path(directory), rows // 10 if quick else rows).everything()


class _Run:
    """A store, a location, and what was measured."""

    def __init__(self, directory: Path, rows: int) -> None:
        self._directory, self._size = directory, rows
        self._rng = np.random.default_rng(0)
        self._location = SnapshotLocation(str(directory / "there"), "behaviours", 0)
        self._store = BehaviourStore.open(directory / "store", StoreIdentity("benchmark", "behaviours", 0, 1), Rules())
        self._rows: list[Row] = []

    def everything(self) -> list[Row]:
        self._fill(self._size)
        _, quiet = self._while_appending(lambda: time.sleep(QUIET_SECONDS))
        self._told("no snapshot: longest time between two appends", quiet * 1e3, "ms")
        self._snapshot("first snapshot")
        self._fill(self._size // 50)
        manifest = self._snapshot("next one, 2 % later")
        self._store.close()
        began = time.perf_counter()
        fetch(manifest, self._location, self._directory / "restored")
        self._told("restore: fetched, checked, on the disk", time.perf_counter() - began, "s")
        return self._rows

    def _snapshot(self, name: str) -> Manifest:
        checkpoint = self._directory / "checkpoint"
        began = time.perf_counter()

        def work() -> tuple[float, Manifest, int]:
            self._store.checkpoint(checkpoint)
            return time.perf_counter() - began, *write(checkpoint, self._location, "benchmark")

        (until_checkpoint, manifest, sent), gap = self._while_appending(work)
        self._told(f"{name}: whole", time.perf_counter() - began, "s")
        self._told(f"{name}: of it until the checkpoint was there", until_checkpoint, "s")
        self._told(f"{name}: size", manifest.total_bytes / 1e6, "MB")
        self._told(f"{name}: sent", sent / 1e6, "MB")
        self._told(f"{name}: longest time between two appends", gap * 1e3, "ms")
        shutil.rmtree(checkpoint)
        return manifest

    def _while_appending(self, work: Callable[[], T]) -> tuple[T, float]:
        """What `work` returns, done in a thread of its own, and the longest gap between two appends in seconds."""
        found: list[T] = []
        thread = threading.Thread(target=lambda: found.append(work()))
        thread.start()
        due = last = time.perf_counter()
        longest = 0.0
        while thread.is_alive():
            self._append(zipf_users(self._rng, SMALL))
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
            due = max(due + 1 / SMALL_PER_SECOND, now)
            time.sleep(due - now)
        return found[0], longest

    def _fill(self, rows: int) -> None:
        users = zipf_users(self._rng, rows)
        for begin in range(0, rows, LARGE):
            self._append(users[begin : begin + LARGE])

    def _append(self, users: NDArray[np.int64]) -> None:
        batch = behaviours(self._rng, users, self._store.position, event_ids=True)
        self._store.append(batch, position=self._store.position + len(users))

    def _told(self, case: str, figure: float, unit: str) -> None:
        self._rows.append(Row(case, figure, unit))
