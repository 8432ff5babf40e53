"""What producers write: behaviours in both formats, repeats, late and future events, erasures, poison, profiles.

Invariant: a record follows from the dice and the time alone.
"""

from random import Random

import numpy as np

from muse_stream.streams.audit.decoding import Record, partition_of
from muse_stream.streams.ingest.ports import Partition
from muse_stream.streams.wire.frame import encode_frame

COUNT = 2
"""Partitions of behaviours and users."""
BEHAVIOURS, USERS = "behaviours", "users"
KEYS = [[name for name in (*map(str, range(1, 12)), "anna", "bert") if partition_of(name.encode(), COUNT) == p][:4]
        for p in range(COUNT)]  # fmt: skip
"""Four users per partition: short logs then repeat, erase and trim the same ones."""
FRAME = (("muse-format", b"frame/1"),)
HOUR_MS = 3_600_000


def behaviour_record(dice: Random, now_ms: int) -> tuple[Partition, Record]:
    """One record of the behaviours topic and where it goes."""
    number = dice.randrange(COUNT)
    key = dice.choice(KEYS[number]).encode()
    what = dice.random()
    if what < 0.06:
        return (BEHAVIOURS, number), record(key, None, now_ms)
    if what < 0.13:
        return poison(dice, number, key, now_ms)
    if what < 0.25:
        return (BEHAVIOURS, number), frame(dice, number, now_ms)
    return (BEHAVIOURS, number), record(key, json_value(dice, now_ms), now_ms)


def user_record(dice: Random, now_ms: int) -> tuple[Partition, Record]:
    """One record of the users topic and where it goes."""
    number = dice.randrange(COUNT)
    key = dice.choice(KEYS[number]).encode()
    values = [None, b"poison", *(b'{"features":{"country":%d}}' % dice.randint(1, 9) for _ in range(4))]
    return (USERS, number), record(key, dice.choice(values), now_ms)


def record(key: bytes | None, value: bytes | None, now_ms: int, *headers: tuple[str, bytes]) -> Record:
    """A record whose offset the log will give."""
    return Record(-1, now_ms, key, value, headers)


def json_value(dice: Random, now_ms: int) -> bytes:
    """A behaviour that may be late, and may carry an event id that others of its user carry too."""
    time_ms = now_ms - dice.choice([0, 0, 5, HOUR_MS, 400 * 24 * HOUR_MS]) + dice.choice([0, 0, HOUR_MS])
    more = b',"event_id":"e%d"' % dice.randint(1, 5) if dice.random() < 0.5 else b""
    return b'{"item":%d,"time_ms":%d,"action":%d%s}' % (dice.randint(1, 30), time_ms, dice.randint(0, 5), more)


def frame(dice: Random, number: int, now_ms: int) -> Record:
    """A frame of several users."""
    users = [int(key) for key in KEYS[number] if key.isdigit()]
    rng = np.random.default_rng(dice.getrandbits(32))
    owners = rng.choice(users, dice.randint(1, 9))
    event_ids = None if dice.random() < 0.5 else rng.integers(0, 4, len(owners)).astype(np.uint64)
    items = rng.integers(1, 30, len(owners))
    data = encode_frame(owners, items, now_ms - items, items % 6, category=items % 3, event_id=event_ids)
    return record(str(owners[0]).encode(), data, now_ms, *FRAME)


def burst(dice: Random, now_ms: int) -> list[tuple[Partition, Record]]:
    """Frames of hundreds of behaviours of one user: they fill and free pages of the pool."""
    number = dice.randrange(COUNT)
    key = KEYS[number][0]
    found: list[tuple[Partition, Record]] = []
    for _ in range(dice.randint(2, 6)):
        items = np.random.default_rng(dice.getrandbits(32)).integers(1, 30, dice.randint(100, 350))
        data = encode_frame(np.full(len(items), int(key)), items, now_ms - items, items % 6)
        found.append(((BEHAVIOURS, number), record(key.encode(), data, now_ms, *FRAME)))
    return found


def poison(dice: Random, number: int, key: bytes, now_ms: int) -> tuple[Partition, Record]:
    """A record that has to be refused, or nearly: times on both sides of the limit, formats that do not fit."""
    value: bytes | None
    key_sent: bytes | None
    key_sent, value = dice.choice(
        [
            (key, b"nonsense"),
            (key, b""),
            (None, b"{}"),
            (key, json_value(dice, now_ms + 2 * HOUR_MS)),
            (dice.choice(KEYS[1 - number]).encode(), None),
        ]
    )
    headers = FRAME if dice.random() < 0.2 else ()
    return (BEHAVIOURS, number), record(key_sent, value, now_ms, *headers)
