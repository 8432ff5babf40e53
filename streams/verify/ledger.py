"""All computed answers of the scores log with their requests, joined, and where each one belongs in the logs.

Invariant: an answer is in the ledger once for every record of it, with the request that it answers or the reason why
that is not known. Bodies lie in a temporary file; in memory there are about 300 bytes an answer.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.export.tape import Tape
from muse_stream.streams.serving.features import in_share
from muse_stream.streams.verify.exchanges import Exchange, computed, exchange_of, name_of, request_id_of
from muse_stream.streams.verify.reasons import Unknown
from muse_stream.streams.wire.answers import Answer, Status, decode_answer
from muse_stream.streams.wire.ids import id_of
from muse_stream.streams.wire.requests import RequestRules

EVER = 2**63 - 1
I64 = NDArray[np.int64]


class Place(NamedTuple):
    """Bytes of the file."""

    at: int
    length: int


class Bodies:
    """Records' keys and values in a file; closed by who opened it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._end = file, 0

    def put(self, key: bytes, value: bytes) -> tuple[Place, Place]:
        """Append both."""
        self._file.seek(self._end)
        self._file.write(key + value)
        start, self._end = self._end, self._end + len(key) + len(value)
        return Place(start, len(key)), Place(start + len(key), len(value))

    def get(self, place: Place) -> bytes:
        """What was put there."""
        self._file.seek(place.at)
        return self._file.read(place.length)


@dataclass(slots=True)
class _Line:
    """One computed answer: its places in the file, what it is called, where it belongs."""

    answer: Place
    name: bytes
    user: int
    at: tuple[int, int, int, int]


@dataclass(slots=True)
class Ledger:
    """Computed answers, numbered as they came; the columns say where they belong (`moments.Placed`).

    Attributes:
        statuses: Answers that were not computed, by status.
        unreadable: Records of the scores log that are no answers.
        skipped: Answers that were not asked for: older, or of users outside the share.

    """

    bodies: Bodies
    rules: RequestRules
    statuses: Counter[Status] = field(default_factory=Counter)
    unreadable: int = 0
    skipped: int = 0
    _lines: list[_Line] = field(default_factory=list)
    _requests: dict[bytes, tuple[Place, Place] | Unknown] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def user(self) -> I64:
        """`[n] int64`."""
        return np.array([line.user for line in self._lines], np.int64)

    @property
    def partition(self) -> NDArray[np.int32]:
        """`[n] int32`."""
        return np.array([line.at[0] for line in self._lines], np.int32)

    @property
    def time_ms(self) -> I64:
        """`[n] int64` zeros: positions say the moments."""
        return np.zeros(len(self._lines), np.int64)

    @property
    def positions(self) -> I64:
        """`[n, 3] int64` behaviours, users, items."""
        return np.array([line.at[1:] for line in self._lines], np.int64).reshape(-1, 3)

    def add_answer(self, key: bytes | None, value: bytes | None, share: float) -> None:
        """Take a record of the scores log; only of users in the share."""
        answer = computed(value)
        if isinstance(answer, Status):
            self.statuses[answer] += 1
        elif answer is None or answer.positions is None or key is None:
            self.unreadable += 1
        elif share < 1 and not in_share(id_of(key.decode()), share):
            self.skipped += 1
        else:
            at = answer.positions
            name = name_of(key, answer.request_id or "")
            where = (at.behaviours.partition, at.behaviours.offset, at.users, at.items)
            self._lines.append(_Line(self.bodies.put(b"", value or b"")[1], name, id_of(key.decode()), where))
            self._requests[name] = Unknown.REQUEST_GONE

    def add_request(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record of the requests log, after all answers."""
        request_id = request_id_of(value)
        if key is None or value is None or request_id is None:
            return
        name = name_of(key, request_id)
        found = self._requests.get(name)
        if found is Unknown.REQUEST_GONE:
            self._requests[name] = self.bodies.put(key, value)
        elif isinstance(found, tuple) and self.bodies.get(found[1]) != value:
            self._requests[name] = Unknown.REQUEST_AMBIGUOUS

    def exchange(self, number: int) -> tuple[Answer, Exchange | Unknown]:
        """An answer, and the whole exchange or why it is not known."""
        line = self._lines[number]
        answer = decode_answer(self.bodies.get(line.answer))
        found = self._requests[line.name]
        if isinstance(found, Unknown):
            return answer, found
        return answer, exchange_of(answer, self.bodies.get(found[0]), self.bodies.get(found[1]), self.rules)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers: broker times from `since_ms` on, users in the `share`."""

    since_ms: int = 0
    share: float = 1.0


def fill(
    ledger: Ledger,
    scores: Iterable[Tape],
    requests: Iterable[Tape],
    wanted: Wanted,
    told: Callable[[int], None] = lambda records: None,
) -> None:
    """Read both logs whole; told how many records each step read."""
    for records in _records(scores):
        for key, value, time_ms in records:
            if time_ms < wanted.since_ms:
                ledger.skipped += 1
            else:
                ledger.add_answer(key, value, wanted.share)
        told(len(records))
    for records in _records(requests):
        for key, value, _ in records:
            ledger.add_request(key, value)
        told(len(records))


def _records(tapes: Iterable[Tape]) -> Iterator[list[tuple[bytes | None, bytes | None, int]]]:
    for tape in tapes:
        for piece in tape.before(None, EVER):
            batch = piece.records()
            yield list(zip(batch.keys, batch.values, batch.broker_time_ms.tolist(), strict=True))


def bodies_in(directory: Path) -> BinaryIO:
    """A new file for bodies."""
    return (directory / "bodies").open("w+b")
