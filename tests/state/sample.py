"""The log from which the stored sample of layout behaviours/1 was built, and what that store reads as.

Invariant: `records` never changes: `data/behaviours-1` was built from exactly these.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.rules import StoreIdentity
from muse_stream.streams.audit.decoding import Record, partition_of
from muse_stream.streams.wire.frame import encode_frame

SAMPLE = Path(__file__).parent / "data" / "behaviours-1"
EXPECTED = Path(__file__).parent / "data" / "behaviours-1.npz"
IDENTITY = StoreIdentity("cluster-one", "behaviours", 3, 8)
RULES = ((0, 300, 50), (1_500, 1_000, 200), (2_500, 600, 100))
"""Offset from which they hold, cap, duplicate window."""
RECORDS = 3_000
PROFILES = 40
BUSY = 4
_USERS = [user for user in range(1, 2_500) if partition_of(b"%d" % user, IDENTITY.partition_count) == 3][:250]
_FIRST_MS = 1_700_000_000_000
_STEP_MS = 300_000


def records() -> list[Record]:
    """The committed records: frames of busy users, single behaviours, repeats, erasures; time goes back at times."""
    return [_record(offset, Random(offset)) for offset in range(RECORDS)]


def profile(user: int) -> bytes:
    """The profile that the sample holds of a user."""
    return b"profile of %d" % user


def profiled() -> list[int]:
    """Users with a profile."""
    return _USERS[:PROFILES]


def _record(offset: int, dice: Random) -> Record:
    now_ms = _FIRST_MS + offset * _STEP_MS - dice.choice([0, 0, 0, 5_000_000])
    what = dice.random()
    if what < 0.1:
        return _frame(offset, now_ms, dice)
    user = dice.choice(_USERS)
    if what < 0.12:
        return Record(offset, now_ms, b"%d" % user, None, ())
    event_id = b',"event_id":"e%d"' % dice.randint(1, 9) if dice.random() < 0.5 else b""
    value = b'{"item":%d,"time_ms":%d,"action":%d%s}' % (dice.randint(1, 99), now_ms, dice.randint(0, 5), event_id)
    return Record(offset, now_ms, b"%d" % user, value, ())


def _frame(offset: int, now_ms: int, dice: Random) -> Record:
    user, rows = _USERS[dice.randrange(BUSY)], dice.randint(1, 20)
    items = np.array([dice.randint(1, 99) for _ in range(rows)])
    value = encode_frame(np.full(rows, user), items, now_ms - items, items % 6, category=items % 7)
    return Record(offset, now_ms, b"%d" % user, value, (("muse-format", b"frame/1"),))


@dataclass(frozen=True)
class Expected:
    """What the sample reads as.

    Attributes:
        position: Next behaviours offset.
        users_position: Next users offset.
        watermark_ms: Largest broker time.
        users: `[u] int64`.
        starts: `[u] int64` number of each user's first live behaviour.
        bounds: `[u + 1] int64`; the rows of user j are `rows[bounds[j]:bounds[j + 1]]`.
        rows: `[n]` of item, time_ms, action, category.

    """

    position: int
    users_position: int
    watermark_ms: int
    users: NDArray[np.int64]
    starts: NDArray[np.int64]
    bounds: NDArray[np.int64]
    rows: NDArray[np.void]

    @classmethod
    def load(cls) -> "Expected":
        """From the file beside the sample."""
        with np.load(EXPECTED) as stored:
            return cls(*stored["progress"].tolist(), *(stored[name] for name in ("users", "starts", "bounds", "rows")))
