"""JSON values: parsed by msgspec, every complaint turned into a reason of the closed set.

Invariant: nothing but BadRecordError leaves these functions, whatever the bytes.
"""

import re
from typing import NoReturn, TypeVar

import msgspec

from muse_stream.streams.errors import IdError
from muse_stream.streams.wire.ids import RESERVED_PREFIX, Id, id_of, is_reserved
from muse_stream.streams.wire.rejects import Reason

Value = TypeVar("Value")
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_DETAIL_CHARACTERS = 500  # a detail quotes what was found, and that may be a megabyte


class BadRecordError(Exception):
    """A record that decodes to nothing; carries the reason and the detail of its reject."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail if len(detail) <= _DETAIL_CHARACTERS else detail[:_DETAIL_CHARACTERS] + "…"
        super().__init__(self.detail)


def bad(reason: Reason, detail: str) -> NoReturn:
    """Raise BadRecordError."""
    raise BadRecordError(reason, detail)


def parse_value(decoder: "msgspec.json.Decoder[Value]", data: bytes, topic: str) -> Value:
    """One JSON value as the decoder's type. Raises BadRecordError."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        _check_json(data)  # msgspec stops at the first wrong type, also of text that is no JSON further on
        bad(_reason_of(str(error)), f"{error}; see the {topic} schema")
    except _NOT_JSON as error:
        bad(Reason.BAD_JSON, f"{error}; send one JSON object per record")


def parse_id(value: Id, name: str) -> int:
    """The id in field `name`, 0 included. Raises BadRecordError."""
    if is_reserved(value):
        bad(Reason.RESERVED_ID, f"{name} is {value!r}; ids that begin with {RESERVED_PREFIX} are kept for the system")
    try:
        return id_of(value)
    except IdError as error:
        bad(Reason.ID_OUT_OF_RANGE if isinstance(value, int) else Reason.BAD_ID, f"{name}: {error}")


def parse_legal_id(value: Id, name: str) -> int:
    """The id in field `name`, which must not be 0. Raises BadRecordError."""
    number = parse_id(value, name)
    if number == 0:
        bad(Reason.BAD_ID, f"{name} is 0, which means missing; number ids from 1")
    return number


def _check_json(data: bytes) -> None:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except _NOT_JSON as error:
        bad(Reason.BAD_JSON, f"{error}; send one JSON object per record")


def _reason_of(text: str) -> Reason:
    """The reason behind one of msgspec's complaints."""
    if "missing required field" in text:
        return Reason.MISSING_FIELD
    if "contains unknown field" in text:
        return Reason.UNKNOWN_FIELD
    if "out of range" not in text:
        return Reason.BAD_TYPE
    if "`$.vector" in text:
        return Reason.BAD_VECTOR
    return Reason.BAD_TYPE if re.search(r"\$\.(time_ms|action)`", text) else Reason.ID_OUT_OF_RANGE
