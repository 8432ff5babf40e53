"""Digests of what this worker keeps in memory beside those of its own stores, for `muse-stream audit` to compare.

Invariant: both sides of a line were read between two turns of the thread that writes them, so they are of one moment.

A digest is BLAKE2b with 8 bytes, in hexadecimal, over item ids (int64) or int8 vectors as they lie in memory.
"""

import hashlib
from typing import Any

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


def pool_page(plane: DataPlane, partition: int, after: int | None) -> dict[str, Any]:
    """The next resident users of a partition, ascending; call in the ingest thread.

    A user belongs to the partition whose store knows it: an id that was text does not tell.

    Args:
        plane: The worker's data.
        partition: Which one.
        after: `next` of the page before; None for the first page.

    Raises:
        PartitionNotHereError: This worker has no open store of the partition.

    """
    users, starts, stops = plane.engine.resident()
    wanted = slice(None) if after is None else users > after
    runs = zip(users[wanted].tolist(), starts[wanted].tolist(), stops[wanted].tolist(), strict=True)
    lines: list[dict[str, int | str]] = []
    looked, read, following = 0, 0, None
    with plane.ingest.stores.lease(partition) as store, store.moment() as moment:
        for user, start, stop in runs:
            line = _pool_line(plane.engine, moment, user, start, stop)
            lines += [line] if line else []
            looked, read = looked + 1, read + (stop - start if line else 0)
            if looked == USERS_MAX or read >= BEHAVIOURS_MAX:
                following = user
                break
        return {"partition": partition, "position": moment.position, "users": lines, "next": following}


def _pool_line(engine: GsuEngine, moment: Moment, user: int, start: int, stop: int) -> dict[str, int | str] | None:
    """Where pool and store stand with a user, and digests of what both have; None where one of them has not met it.

    `pool_may_start` is the lowest position that may be resident: the store's start, but what has only expired may stay
    until the cap takes it, because a search asks for what the store shows.
    """
    history = moment.sequence(user)
    if history.stop == 0:
        return None
    low, high = max(start, history.start), min(stop, history.stop)
    low = min(low, high)
    held = engine.resident_items(user, low, high)
    if held is None:
        return None
    known = held != 0
    stored = history.rows["item"][low - history.start : high - history.start]
    return {
        "user": user,
        "pool_start": start,
        "pool_stop": stop,
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
