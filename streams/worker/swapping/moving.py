"""Users who are resident in one engine, made resident in the next one before it answers.

Nothing depends on it but speed: who was not moved is loaded at the first request, as after a start.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

from muse_stream.gsu_engine import GsuEngine
from muse_stream.gsu_engine.arrays import I64
from muse_stream.state.errors import StateError
from muse_stream.streams.errors import PartitionNotHereError
from muse_stream.streams.serving.pipeline import MomentSource

log = logging.getLogger(__name__)

MOVE_SECONDS = 30.0
"""Longest time for it. A history of 10 000 behaviours takes under a millisecond, so a full pool of 1 GiB fits."""
IDLE_SHARE = 0.5
"""Of the time, left to the passes: loading and they use the same cores."""
NOBODY: I64 = np.empty(0, np.int64)


class Stores(Protocol):
    """The open stores of this worker's partitions."""

    def partitions(self) -> Iterable[int]:
        """Which there are."""
        ...

    def lease(self, partition: int) -> AbstractContextManager[MomentSource]:
        """Lend one; raises PartitionNotHereError."""
        ...


class StoredHistories:
    """A `HistorySource` for whoever does not know the user's partition."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._latest: int | None = None

    def items(self, user: int) -> tuple[int, I64]:
        """First position and items of a user's live history; empty for one whom no open store knows."""
        for partition in sorted(self._stores.partitions(), key=lambda number: number != self._latest):
            try:
                with self._stores.lease(partition) as store, store.moment() as moment:
                    history = moment.sequence(user)
            except (PartitionNotHereError, StateError):
                continue
            if history.stop:
                self._latest = partition
                return history.start, np.ascontiguousarray(history.rows["item"])
        return 0, NOBODY


def move_residents(old: GsuEngine, new: GsuEngine, stores: Stores, is_wanted: Callable[[], bool]) -> int:
    """Load everybody who is resident in the old engine into the new one, for `MOVE_SECONDS` at most.

    Args:
        old: Stays as it is.
        new: Is told by ingest already.
        stores: Where histories are read from.
        is_wanted: Asked before each user; False ends it.

    Returns:
        How many users were looked at.

    """
    users = np.union1d(old.resident()[0], old.resident(on_device=True)[0])
    source, moved, began = StoredHistories(stores), 0, time.perf_counter()
    for user in users.tolist():
        step = time.perf_counter()
        if step - began > MOVE_SECONDS or not is_wanted():
            log.info(
                "%d of %d resident users are loaded into the new space, the others at their next use", moved, len(users)
            )
            break
        new.prefetch(user, source)
        moved += 1
        time.sleep((time.perf_counter() - step) * IDLE_SHARE / (1 - IDLE_SHARE))
    return moved
