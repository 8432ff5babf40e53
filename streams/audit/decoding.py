"""Records of the behaviours topic as docs/wire.md defines them, in plain Python.

Invariant: `decode` gives the rows of a record or raises `Refused`; it looks at that record and the contract alone.

A row's behaviour is kept as the 25 bytes `item i64, time ms i64, action u8, category i64`, little endian, which is
small, and equal exactly where the behaviours are equal.
"""

import hashlib
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count as naturals
from typing import Any, NamedTuple, NoReturn

from crc32c import crc32c

BEHAVIOUR = struct.Struct("<qqBq")
INT64 = range(-(2**63), 2**63)
JSON_BYTES_MAX, FRAME_BYTES_MAX = 65_536, 1_048_576
FUTURE_MS = 3_600_000
RESERVED = "__muse"
FIELDS = frozenset(("item", "time_ms", "action", "category", "event_id", "user"))
_CANONICAL = re.compile(r"0|-?[1-9][0-9]{0,18}")
_FRAME_HEADER = struct.Struct("<4sBBHII")


class Refused(Exception):
    """The contract refuses the record; the text says why."""


class Record(NamedTuple):
    """One committed record."""

    offset: int
    broker_time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Row(NamedTuple):
    """One behaviour of a user, packed; None erases the user. `event_id` 0: none was sent."""

    user: int
    behaviour: bytes | None
    event_id: int


@dataclass(frozen=True)
class Contract:
    """What depends on the deployment: partition, number of partitions, names of actions."""

    partition: int
    partition_count: int
    actions: Mapping[str, int]


def decode(record: Record, contract: Contract) -> list[Row]:
    """The rows of a record. Raises `Refused`."""
    user = _user_of_key(record.key, contract)
    if record.value is None:
        return [Row(user, None, 0)]
    if not record.value:
        _refuse("a value of no bytes")
    named = [value for name, value in record.headers if name == "muse-format"]
    form = named[-1] if named else b"json/1"
    if form == b"json/1":
        rows = [_json_row(record.value, user, contract)]
    elif form == b"frame/1":
        rows = _frame_rows(record.value, user, contract)
    else:
        _refuse(f"format {form!r}")
    for row in rows:
        _check(row, record.broker_time_ms)
    return rows


def id_of(value: object) -> int:
    """The 64-bit id of a number or text. Raises `Refused`."""
    if isinstance(value, str):
        if value.startswith(RESERVED):
            _refuse("a reserved id")
        if not value:
            _refuse("an empty id")
        if _CANONICAL.fullmatch(value) and int(value) in INT64:
            return int(value)
        return int.from_bytes(_hash(value), "little", signed=True)
    if type(value) is not int or value not in INT64:
        _refuse(f"{value!r} is no id")
    return value


def event_id_of(value: object) -> int:
    """The unsigned 64-bit form of an event id, never 0. Raises `Refused`."""
    if (type(value) is not int and not isinstance(value, str)) or value == "":
        _refuse(f"{value!r} is no event id")
    return int.from_bytes(_hash(str(value)), "little") or 1


def murmur2(data: bytes) -> int:
    """The hash by which Java's client places keys, 32 bits."""
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * 0x5BD1E995 & 0xFFFFFFFF  # noqa: PLW2901 - as the function is written everywhere
        k = (k ^ k >> 24) * 0x5BD1E995 & 0xFFFFFFFF  # noqa: PLW2901
        h = h * 0x5BD1E995 & 0xFFFFFFFF ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ h >> 15


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, count: int) -> int:
    """The partition that a key belongs to."""
    return (murmur2(key) & 0x7FFFFFFF) % count


@lru_cache(maxsize=1 << 10)
def canary_key(partition: int, count: int) -> bytes:
    """The key of a partition's canary user, the only reserved one that a record may have."""
    keys = (f"{RESERVED}:canary:{number}".encode() for number in naturals())
    return next(key for key in keys if partition_of(key, count) == partition)


def _user_of_key(key: bytes | None, contract: Contract) -> int:
    if not key:
        _refuse("no key")
    if key == canary_key(contract.partition, contract.partition_count):
        return int.from_bytes(_hash(key.decode()), "little", signed=True)
    try:
        user = id_of(key.decode())
    except UnicodeDecodeError:
        _refuse("a key that is not UTF-8")
    if not user:
        _refuse("a key of id 0")
    if partition_of(key, contract.partition_count) != contract.partition:
        _refuse("a key of another partition")
    return user


def _json_row(value: bytes, user: int, contract: Contract) -> Row:
    if len(value) > JSON_BYTES_MAX:
        _refuse("larger than 64 KiB")
    try:
        pairs = json.loads(value.decode(), object_pairs_hook=_Pairs, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        _refuse(f"not JSON: {error}")
    if type(pairs) is not _Pairs:
        _refuse("not an object")
    fields = {name: _field(name, found, contract) for name, found in pairs}
    if missing := [name for name in ("item", "time_ms", "action") if name not in fields]:
        _refuse(f"without {missing[0]}")
    if fields.get("user") not in (None, user):
        _refuse("a user that is not the key's")
    behaviour = BEHAVIOUR.pack(fields["item"], fields["time_ms"], fields["action"], fields.get("category") or 0)
    return Row(user, behaviour, fields.get("event_id") or 0)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, names that come twice included: every one of its values is checked."""


def _field(name: str, found: object, contract: Contract) -> int | None:
    """A field's value as a number; None where null stands for "not sent"."""
    if name not in FIELDS:
        _refuse(f"field {name!r}")
    if found is None and name in ("category", "event_id", "user"):
        return None
    if name == "event_id":
        return event_id_of(found)
    if name == "action":
        number = contract.actions.get(found, -1) if isinstance(found, str) else found
        if type(number) is not int or not 0 <= number <= 255:
            _refuse(f"action {found!r}")
        return number
    if name == "time_ms":
        if type(found) is not int or found not in INT64:
            _refuse(f"time_ms {found!r}")
        return found
    return id_of(found)


def _frame_rows(value: bytes, user: int, contract: Contract) -> list[Row]:
    columns = _frame_columns(value)
    if columns[0][0] != user:
        _refuse("a frame whose first user is not the key's")
    if any(partition_of(str(one).encode(), contract.partition_count) != contract.partition for one in set(columns[0])):
        _refuse("a frame with a user of another partition")
    return [
        Row(owner, BEHAVIOUR.pack(item, time_ms, action, category), event_id)
        for owner, item, time_ms, category, event_id, action in zip(*columns, strict=True)
    ]


def _frame_columns(value: bytes) -> list[Sequence[int]]:
    """User, item, time, category, event id and action of each behaviour."""
    if len(value) > FRAME_BYTES_MAX:
        _refuse("larger than 1 MiB")
    if len(value) < 20:
        _refuse("a frame cut short")
    magic, version, flags, zero, count, more_zero = _FRAME_HEADER.unpack_from(value)
    if (magic, version, zero, more_zero) != (b"MUSF", 1, 0, 0) or flags > 3:
        _refuse("no frame of version 1")
    words = 3 + (flags & 1) + (flags >> 1)
    if count == 0 or len(value) != 16 + count * (8 * words + 1) + 4:
        _refuse("a frame of the wrong length")
    if crc32c(value[:-4]).to_bytes(4, "little") != value[-4:]:
        _refuse("a frame with a wrong checksum")
    at = 16
    columns: list[Sequence[int]] = []
    for letter, sent in (("q", True), ("q", True), ("q", True), ("q", flags & 1), ("Q", flags & 2)):
        columns.append(struct.unpack_from(f"<{count}{letter}", value, at) if sent else (0,) * count)
        at += 8 * count * bool(sent)
    return [*columns, value[at : at + count]]


def _check(row: Row, broker_time_ms: int) -> None:
    assert row.behaviour is not None  # noqa: S101 - only a null value erases
    item, time_ms, _, _ = BEHAVIOUR.unpack(row.behaviour)
    if not row.user or not item:
        _refuse("an id of 0")
    if not 0 <= time_ms <= broker_time_ms + FUTURE_MS:
        _refuse(f"time_ms {time_ms}")


def _hash(text: str) -> bytes:
    try:
        return hashlib.blake2b(text.encode(), digest_size=8).digest()
    except UnicodeEncodeError:
        _refuse("text that UTF-8 cannot express")


def _refuse(why: str) -> NoReturn:
    raise Refused(why)
