"""What producers write, from dice: behaviours in JSON and frames, repeats, late events, erasures, poison.

Invariant: a record that is called poison is refused by docs/wire.md, every other one is accepted; which of them are
repeats is for the log to say.
"""

import json
import random
import time
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from muse_stream.streams.records import Headers
from muse_stream.streams.wire.encode import FRAME_HEADERS, encode_behaviour
from muse_stream.streams.wire.frame import encode_frame
from muse_stream.streams.wire.ids import Id
from muse_stream.streams.wire.partitioner import partition_of_key
from tests.chaos.plan import ITEMS, USERS

Drawn = TypeVar("Drawn", bound=Id)
POISON, ERASURE, FRAME, REPEAT, LATE = 0.02, 0.01, 0.12, 0.15, 0.1
"""Shares of the records."""
LATE_MS = 3_600_000
TEXT_USERS = 20
"""Every so many-th user has an id that is text."""
FRAME_ROWS = 12
RECENT = 3_000
"""Events that a repeat is taken from: more than a partition's duplicate window holds of them."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record to write; `partition` None leaves it to the key."""

    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    partition: int | None = None
    poison: bool = False
    user: Id | None = None


def users() -> list[Id]:
    """All users: numbers, some of them text."""
    return [f"user-{number}" if number % TEXT_USERS == 0 else number for number in range(1, USERS + 1)]


class Maker:
    """Makes one producer's records; `name` keeps its event ids apart from other producers', `poison` is its share."""

    def __init__(self, seed: int, name: str, partitions: int, *, poison: float = POISON) -> None:
        self._dice = random.Random(f"{seed}-{name}")
        self._name, self._partitions, self._poison_share = name, partitions, poison
        self._users = users()
        self._numbers: dict[int, list[int]] = {}
        for user in self._users:
            if isinstance(user, int):
                self._numbers.setdefault(self._place(user), []).append(user)
        self._recent: deque[Record] = deque(maxlen=RECENT)
        self._count = 0

    def next(self) -> Record:
        """The next record."""
        self._count += 1
        kind = self._dice.random()
        user = self._drawn(self._users)
        if kind < self._poison_share:
            return self.poison(user)
        if kind < self._poison_share + ERASURE:
            return Record(str(user).encode(), None, user=user)
        if kind < self._poison_share + ERASURE + REPEAT and self._recent:
            return self._dice.choice(self._recent)
        record = self._frame() if self._dice.random() < FRAME else self._behaviour(user)
        self._recent.append(record)
        return record

    def _behaviour(self, user: Id) -> Record:
        event = None if self._dice.random() < 0.1 else f"{self._name}-{self._count}"
        category = self._dice.choice([None, 7, "shoes"])
        key, value = encode_behaviour(
            user, self._item(), self._time_ms(), self._dice.randrange(6), category=category, event_id=event
        )
        return Record(key, value, user=user)

    def _frame(self) -> Record:
        mates = self._dice.choice(list(self._numbers.values()))
        chosen = [self._drawn(mates) for _ in range(self._dice.randint(1, FRAME_ROWS))]
        count = len(chosen)
        events = np.arange(count, dtype=np.uint64) + np.uint64(
            zlib.crc32(self._name.encode()) << 32 | self._count << 8 | 1
        )
        value = encode_frame(
            chosen,
            [self._item() for _ in chosen],
            [self._time_ms() for _ in chosen],
            [self._dice.randrange(6) for _ in chosen],
            event_id=events if self._dice.random() < 0.7 else None,
        )
        return Record(str(chosen[0]).encode(), value, FRAME_HEADERS, user=chosen[0])

    def poison(self, user: Id) -> Record:
        """A record that is refused, of one of all kinds."""
        key = str(user).encode()
        sound = {"item": self._item(), "time_ms": self._time_ms(), "action": "click"}
        elsewhere = (self._place(user) + 1) % self._partitions
        broken = encode_frame([1], [1], [1], [1])[:-1] + b"\x00\x00"
        return self._dice.choice(
            [
                Record(key, b"poison", poison=True),
                Record(key, b"", poison=True),
                Record(key, json.dumps({**sound, "item": 0}).encode(), poison=True),
                Record(key, json.dumps({**sound, "time_ms": -1}).encode(), poison=True),
                Record(key, json.dumps({**sound, "time_ms": 2**52}).encode(), poison=True),
                Record(key, json.dumps({**sound, "colour": "red"}).encode(), poison=True),
                Record(key, json.dumps(sound).encode(), [("muse-format", b"json/9")], poison=True),
                Record(key, broken, FRAME_HEADERS, poison=True),
                Record(key, json.dumps(sound).encode(), partition=elsewhere, poison=True),
                Record(None, json.dumps(sound).encode(), partition=elsewhere, poison=True),
            ]
        )

    def _drawn(self, among: Sequence[Drawn]) -> Drawn:
        """One of these, the earlier ones much more often."""
        return among[int(len(among) * self._dice.random() ** 2)]

    def _item(self) -> int:
        return self._dice.randint(1, ITEMS)

    def _time_ms(self) -> int:
        late = self._dice.randint(1, LATE_MS) if self._dice.random() < LATE else 0
        return int(time.time() * 1e3) - late

    def _place(self, user: Id) -> int:
        return partition_of_key(str(user).encode(), self._partitions)
