"""Logs to feed stores with: drawn by hypothesis, or computed from the offset alone."""

from dataclasses import fields
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


@st.composite
def logs(draw: st.DrawFn, max_rows: int = 120) -> BehaviourBatch:
    """Rows of few users with frames (equal offsets), holes, repeated event ids, erasures and times that jump."""
    row = st.fixed_dictionaries(
        {
            "user": st.sampled_from(USERS),
            "item": st.integers(-(2**63), 2**63 - 1),
            "time_ms": st.integers(-10, 10),
            "action": st.integers(0, 255),
            "category": st.integers(0, 3),
            "event_id": st.sampled_from([0, 0, 1, 2, 3, 2**64 - 1]),
            "broker_time_ms": st.integers(0, 50),
            "offset": st.sampled_from([0, 1, 1, 1, 3]),
            "erase": st.sampled_from([0] * 14 + [1]),
        }
    )
    rows = draw(st.lists(row, max_size=max_rows))
    batch = batch_of(rows)
    batch.offset[:] = np.cumsum(batch.offset)
    return batch


@st.composite
def cuts(draw: st.DrawFn, batch: BehaviourBatch) -> list[int]:
    """Positions, rising, at which a consumer may have cut the log; the last one is past its end."""
    end = int(batch.offset[-1]) + 1 if len(batch) else 1
    return [*sorted(draw(st.sets(st.integers(0, end), max_size=8))), end + 1]


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
