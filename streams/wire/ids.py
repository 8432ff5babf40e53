"""Ids: one rule for users, items, categories and features, whatever their producer calls them.

    text that is the canonical decimal form of an int64  ->  that integer      "17850" and 17850 are one user
    any other text                                       ->  BLAKE2b, 8-byte digest of its UTF-8, little-endian, signed

Canonical: an optional "-", no leading zero, no "-0", no "+", no blanks; so "017850" is text and gets hashed.
0 means "missing" everywhere and is no legal user or item. Text that begins with `__muse` is reserved.
A record's key is its id's text in UTF-8.

Invariant: the rule is a pure function of the text; one text has one id in every process, language and year.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from muse_stream.streams.errors import IdError
from muse_stream.streams.records import ByteColumn
from muse_stream.streams.wire import idkernels

Id = int | str
"""An id as producers write it: a number, or text."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
RESERVED_PREFIX = "__muse"
_RESERVED_KEY = RESERVED_PREFIX.encode()
IdField = (
    Annotated[int, Meta(extra_json_schema={"minimum": INT64_MIN, "maximum": INT64_MAX})]
    | Annotated[str, Meta(extra_json_schema={"minLength": 1, "not": {"pattern": f"^{RESERVED_PREFIX}"}})]
)
"""An id as a field of a JSON value: what its schema says of it; the decoders check it with a reason of their own."""
_CANONICAL = re.compile(r"0|-?[1-9][0-9]{0,18}")


def id_of(value: Id) -> int:
    """The 64-bit id of a number or text. Raises IdError when it is empty, out of int64 or not expressible in UTF-8."""
    if isinstance(value, int):
        if not INT64_MIN <= value <= INT64_MAX:
            message = f"id {value} is outside the signed 64-bit range; send it as text and it will be hashed"
            raise IdError(message)
        return int(value)
    if _CANONICAL.fullmatch(value) and INT64_MIN <= (number := int(value)) <= INT64_MAX:
        return number
    if not value:
        message = "an id is empty text; send a number or at least one character"
        raise IdError(message)
    return int.from_bytes(_digest(value), "little", signed=True)


def event_id_of(value: Id) -> int:
    """The unsigned 64-bit form of a producer's event id: its text's hash, never 0 (0 = no event id was sent)."""
    return int.from_bytes(_digest(str(value)), "little") or 1


def key_of(value: Id) -> bytes:
    """The record key of an id: its text in UTF-8. Raises IdError like `id_of`, and for 0."""
    if id_of(value) == 0:
        message = f"id {value!r} means missing and cannot be a key; number users and items from 1"
        raise IdError(message)
    return str(value).encode()


def is_reserved(value: Id | bytes | None) -> bool:
    """Whether an id's text, or a record key, is in the namespace that the system keeps for itself (its canary users).

    What such users do is in no count of requests, in no sample and in no training data.
    """
    if isinstance(value, bytes):
        return value.startswith(_RESERVED_KEY)
    return isinstance(value, str) and value.startswith(RESERVED_PREFIX)


def _digest(text: str) -> bytes:
    try:
        return hashlib.blake2b(text.encode(), digest_size=8).digest()
    except UnicodeEncodeError as error:
        message = f"id {text!r} is not expressible in UTF-8: {error.reason}"
        raise IdError(message) from error


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """Record keys as ids.

    Attributes:
        id: `[n] int64`; meaningless where `flag` is not OK.
        flag: `[n] uint8`, one of `idkernels`' flags; NON_ASCII stands only where the key is not UTF-8.
        data: The keys themselves.

    """

    id: NDArray[np.int64]
    flag: NDArray[np.uint8]
    data: ByteColumn


def parse_keys(keys: Sequence[bytes | None]) -> KeyColumn:
    """Ids of many record keys; None gets the flag ABSENT."""
    data = ByteColumn.of(keys)
    values, flags = idkernels.ids_of_spans(data.buffer, data.start, data.stop)
    for row in np.flatnonzero(flags == idkernels.NON_ASCII).tolist():
        flags[row] = idkernels.OK if _is_utf8(data.bytes_at(row)) else idkernels.NON_ASCII
    return KeyColumn(values, flags, data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
