"""Digests of what this worker keeps in memory beside those of its own stores, for `muse-stream audit` to compare.

Invariant: both sides of a line were read between two turns of the thread that writes them, so they are of one moment.

A digest is BLAKE2b with 8 bytes, in hexadecimal, over item ids (int64) or int8 vectors as they lie in memory.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine import GsuEngine, VectorTable
from muse_stream.state.moment import Moment
from muse_stream.streams.ingest.item_feed import ItemFeed
from muse_stream.streams.worker.data_plane import DataPlane

USERS_MAX = 500
BEHAVIOURS_MAX = 1_000_000
"""Looked at and read for one page: 10 to 20 ms of the ingest thread."""

Bytes = NDArray[Any]


class _Run(NamedTuple):
    """Positions that are held of a user, and where."""

    start: int
    stop: int
    on_device: bool


def pool_page(plane: DataPlane, partition: int, after: int | None) -> dict[str, Any]:
    """The next users of a partition who are resident in the space that is served, ascending; call in the ingest thread.

    A user belongs to the partition whose store knows it: an id that was text does not tell.

    Args:
        plane: The worker's data.
        partition: Which one.
        after: `next` of the page before; None for the first page.

    Raises:
        PartitionNotHereError: This worker has no open store of the partition.

    """
    lines: list[dict[str, int | str]] = []
    looked, read, following = 0, 0, None
    engine = plane.engine
    with plane.ingest.stores.lease(partition) as store, store.moment() as moment:
        for user, runs in _residents(engine, after):
            found = [line for run in runs if (line := _pool_line(engine, moment, user, run))]
            lines += found
            looked, read = looked + 1, read + sum(int(line["compared"]) for line in found)
            if looked == USERS_MAX or read >= BEHAVIOURS_MAX:
                following = user
                break
        return {"partition": partition, "position": moment.position, "users": lines, "next": following}


def _residents(engine: GsuEngine, after: int | None) -> Iterator[tuple[int, list[_Run]]]:
    """The next users above `after`, ascending, as many as a page has, with what is held of each, and where."""
    held = [(engine.resident(on_device=on_device), on_device) for on_device in (False, True)]
    everybody = np.unique(np.concatenate([users for (users, _, _), _ in held]))
    first = 0 if after is None else int(np.searchsorted(everybody, after, side="right"))
    for user in everybody[first : first + USERS_MAX].tolist():
        runs = []
        for (users, starts, stops), on_device in held:
            at = int(np.searchsorted(users, user))
            if at < len(users) and users[at] == user:
                runs.append(_Run(int(starts[at]), int(stops[at]), on_device))
        yield user, runs


def _pool_line(engine: GsuEngine, moment: Moment, user: int, run: _Run) -> dict[str, int | str] | None:
    """Where pool and store stand with a user, and digests of what both have; None where one of them has not met it.

    `pool_may_start` is the lowest position that may be resident: the store's start, but what has only expired may stay
    until the cap takes it, because a search asks for what the store shows.
    """
    history = moment.sequence(user)
    if history.stop == 0:
        return None
    low, high = max(run.start, history.start), min(run.stop, history.stop)
    low = min(low, high)
    held = engine.resident_items(user, low, high, on_device=run.on_device)
    if held is None:
        return None
    known = held != 0
    stored = history.rows["item"][low - history.start : high - history.start]
    return {
        "user": user,
        "where": "GPU memory" if run.on_device else "memory",
        "pool_start": run.start,
        "pool_stop": run.stop,
        "pool_may_start": history.start
        if moment.kept_by.ttl_seconds is None
        else max(history.stop - moment.kept_by.cap, 0),
        "store_start": history.start,
        "store_stop": history.stop,
        "compared": high - low,
        "pool": _digest(held[known]),
        "store": _digest(stored[known]),
    }


def vector_tables(plane: DataPlane) -> dict[str, Any]:
    """Every table; call in the items thread."""
    return {
        "version": plane.item_feed.version,
        "position": plane.item_store.position,
        "spaces": [_table(plane.item_feed, table) for _, table in sorted(plane.tables.items())],
    }


def _table(feed: ItemFeed, table: VectorTable) -> dict[str, Any]:
    """A table against the item store: of vectors that found no room only the number."""
    stored, held = hashlib.blake2b(digest_size=8), hashlib.blake2b(digest_size=8)
    vectors_stored = absent = 0
    for batch in feed.store.load():
        if table.space not in batch.vectors:
            continue
        rows, vectors = batch.vectors[table.space]
        found, inv_norms = table.lookup(batch.item[rows])
        there = inv_norms != 0
        vectors_stored += len(rows)
        absent += int(np.count_nonzero(~there))
        stored.update(np.ascontiguousarray(vectors[there]).tobytes())
        held.update(np.ascontiguousarray(found[there]).tobytes())
    stats = table.stats()
    return {
        "space": table.space,
        "vectors_stored": vectors_stored,
        "vectors_held": stats.rows,
        "absent": absent,
        "full": stats.refused + table.index.stats().refused > 0,
        "table": held.hexdigest(),
        "store": stored.hexdigest(),
    }


def _digest(column: Bytes) -> str:
    return hashlib.blake2b(np.ascontiguousarray(column).tobytes(), digest_size=8).hexdigest()
