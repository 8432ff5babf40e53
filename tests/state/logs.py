"""Logs to feed stores with: drawn by hypothesis, or computed from the offset alone."""

import random
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from rocksdict import Options, Rdict

from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.rules import StoreIdentity

IDENTITY = StoreIdentity("cluster-one", "behaviours", 3, 8)
USERS = [-(2**63), -1, 0, 1, 7, 2**63 - 1]

thorough = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def batch_of(rows: list[dict[str, int]]) -> BehaviourBatch:
    """Rows as columns; what a row does not say is 0."""
    empty = BehaviourBatch.empty()
    return BehaviourBatch(
        *(
            np.array([row.get(field.name, 0) for row in rows], getattr(empty, field.name).dtype)
            for field in fields(BehaviourBatch)
        )
    )


def plain_batch(users: list[int], offset: int = 0, **same: int) -> BehaviourBatch:
    """One behaviour per user named; item = time = offset."""
    rows = [{"user": user, "offset": offset + place} for place, user in enumerate(users)]
    return batch_of([{**row, "item": row["offset"], "time_ms": row["offset"], **same} for row in rows])


@dataclass(frozen=True)
class Schedule:
    """A log, the positions at which a consumer cuts it, and the dice for what else happens."""

    log: BehaviourBatch
    ends: list[int]
    dice: random.Random


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Few users with frames (equal offsets), holes, repeated event ids, erasures and times that jump."""
    rows, users = draw(st.integers(0, 500)), USERS[: draw(st.integers(1, len(USERS)))]
    erased, ids = draw(st.sampled_from([0.0, 0.01, 0.1])), draw(st.sampled_from([1, 4, 60]))
    seed, batch_rows = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 80))
    rng = np.random.default_rng(seed)
    log = BehaviourBatch(
        user=np.array(users)[rng.integers(0, len(users), rows)],
        item=rng.integers(-(2**63), 2**63 - 1, rows),
        time_ms=rng.integers(-10, 10, rows),
        action=rng.integers(0, 256, rows).astype(np.uint8),
        category=rng.integers(0, 4, rows),
        event_id=np.uint64(2**64 - ids) * rng.integers(0, 2, rows).astype(np.uint64)
        + rng.integers(0, ids, rows).astype(np.uint64),
        broker_time_ms=1_000 * np.cumsum(rng.choice([0, 0, 0, 1, 5, 40], rows)) - rng.integers(0, 9_000, rows),
        offset=np.cumsum(rng.choice([0, 1, 1, 1, 3], rows)),
        erase=rng.random(rows) < erased,
    )
    last = int(log.offset[-1]) if rows else 0
    ends = np.unique(rng.integers(0, last + 1, rows // batch_rows))
    return Schedule(log, [*ends.tolist(), last + 1, last + 2], random.Random(seed))


def between(batch: BehaviourBatch, begin: int, end: int) -> BehaviourBatch:
    """The rows with offsets in [begin, end)."""
    return batch.rows(*np.searchsorted(batch.offset, [begin, end]).tolist())


def hashed_log(begin: int, end: int, users: int = 40) -> BehaviourBatch:
    """Rows `begin` to `end` of an endless log in which everything follows from the offset."""
    offset = np.arange(begin, end, dtype=np.int64)
    noise = (offset.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    noise ^= noise >> np.uint64(29)
    return BehaviourBatch(
        user=((noise % np.uint64(users)) ** 2 // np.uint64(users)).astype(np.int64),
        item=noise.view(np.int64),
        time_ms=offset * 3,
        action=(noise >> np.uint64(8)).astype(np.uint8),
        category=(noise % np.uint64(5)).astype(np.int64),
        event_id=np.where(noise % np.uint64(3) == 0, 0, noise % np.uint64(2001)).astype(np.uint64),
        broker_time_ms=offset * 3,
        offset=offset,
        erase=noise % np.uint64(499) == 0,
    )


def dump(path: Path) -> list[tuple[bytes, bytes]]:
    """Every key and value of a closed store."""
    db = Rdict(str(path), Options(raw_mode=True))
    found = [(key, value) for key, value in db.items() if isinstance(key, bytes)]
    db.close()
    return found
