"""Rejects and dead letters: what becomes of a record that cannot be used.

A dead letter's key is `topic:partition:offset` in UTF-8 (so that a repeat replaces its first copy wherever someone
compacts), its value JSON: reason, detail, where the record was, and its key, value and headers in base64.
What would not fit into a Kafka message of default size is cut (the value first; a giant key and headers after it) and
marked `truncated`: a dead letter that no broker accepts would hold its partition back for ever, and the whole record
still lies at its offset.

Invariant: `decode_dead_letter(encode_dead_letter(r))` gives `r` again unless it was cut; the letter always fits.
"""

import base64
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

MESSAGE_BYTES_MAX = (
    1_000_000  # below Kafka's default message.max.bytes of 1 048 588, with room for the record around it
)
_KEY_BYTES_KEPT = 1_000


class Reason(StrEnum):
    """Why a record was not used. A closed set: the metric label `reason` takes these values and no other."""

    MISSING_KEY = "missing_key"  # the record has no key, or an empty one
    BAD_ID = "bad_id"  # an id is 0, empty or not UTF-8
    RESERVED_ID = "reserved_id"  # an id's text begins with __muse
    WRONG_PARTITION = "wrong_partition"  # the key does not hash to the partition it came on
    EMPTY_VALUE = "empty_value"  # a value of zero bytes (not null, which erases)
    OVERSIZE = "oversize"  # a value above the size limit of its kind
    UNKNOWN_FORMAT = "unknown_format"  # the muse-format header names none that is known
    BAD_JSON = "bad_json"  # not JSON
    MISSING_FIELD = "missing_field"  # a required field is not there
    UNKNOWN_FIELD = "unknown_field"  # a field that the contract does not have
    BAD_TYPE = "bad_type"  # a field of the wrong type
    ID_OUT_OF_RANGE = "id_out_of_range"  # a number outside int64 where an id belongs
    KEY_MISMATCH = "key_mismatch"  # the value names another id than the key
    UNKNOWN_ACTION = "unknown_action"  # an action that is no configured name nor 0..255
    NEGATIVE_TIME = "negative_time"  # before 1970
    FUTURE_TIME = "future_time"  # more than an hour after the record's own broker time
    BAD_FRAME = "bad_frame"  # a frame with a wrong magic, version, length, flag or checksum
    OUT_OF_RANGE = "out_of_range"  # a number of a request outside its limits
    BAD_VECTOR = "bad_vector"  # a vector of the wrong size, not finite, all zero, out of int8, or in two forms
    UNKNOWN_SPACE = "unknown_space"  # a vector space that is not configured


class Header(msgspec.Struct, frozen=True):
    """One header of the original record; `value` is base64."""

    key: str
    value: str


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON value of a dead letter."""

    topic: str
    partition: int
    offset: int
    reason: Reason
    detail: str
    key: str | None  # base64
    value: str | None  # base64
    broker_time_ms: int = 0
    headers: list[Header] = []
    value_bytes: int = 0  # full length of the original value
    truncated: bool = False  # `value` (or even `key`) holds only its beginning, `headers` may be gone


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was not used.

    Attributes:
        topic: Where the record lies.
        partition: Where the record lies.
        offset: Where the record lies.
        reason: One of the closed set.
        detail: What was found, what was expected, what to do.
        key: The record's own bytes.
        value: The record's own bytes.
        headers: The record's own headers.
        broker_time_ms: The record's timestamp.

    """

    topic: str
    partition: int
    offset: int
    reason: Reason
    detail: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    broker_time_ms: int = 0


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(DeadLetter)


def dead_letter_key(reject: Reject) -> bytes:
    """The dead letter's record key: `topic:partition:offset`."""
    return f"{reject.topic}:{reject.partition}:{reject.offset}".encode()


def encode_dead_letter(reject: Reject, *, bytes_max: int = MESSAGE_BYTES_MAX) -> tuple[bytes, bytes]:
    """Key and value of the dead letter of a reject; the value has at most `bytes_max` bytes (8 192 or more)."""
    letter = _ENCODER.encode(_dead_letter(reject, reject, cut=False))
    if len(letter) > bytes_max:
        bare = replace(reject, value=reject.value and b"")
        if len(_ENCODER.encode(_dead_letter(reject, bare, cut=True))) > bytes_max:
            bare = replace(bare, key=reject.key and reject.key[:_KEY_BYTES_KEPT], headers=())
        room = (bytes_max - len(_ENCODER.encode(_dead_letter(reject, bare, cut=True)))) // 4 * 3  # base64
        part = replace(bare, value=reject.value and reject.value[: max(0, room)])
        letter = _ENCODER.encode(_dead_letter(reject, part, cut=True))
    return dead_letter_key(reject), letter


def decode_dead_letter(value: bytes) -> tuple[Reject, bool]:
    """The reject inside a dead letter's value, and whether its bytes were cut. Raises msgspec.DecodeError."""
    letter = _DECODER.decode(value)
    reject = Reject(
        letter.topic,
        letter.partition,
        letter.offset,
        letter.reason,
        letter.detail,
        _unbase64(letter.key),
        _unbase64(letter.value),
        tuple((header.key, base64.b64decode(header.value)) for header in letter.headers),
        letter.broker_time_ms,
    )
    return reject, letter.truncated


def _dead_letter(reject: Reject, kept: Reject, *, cut: bool) -> DeadLetter:
    """The letter of `reject`, with as much of its bytes as `kept` has."""
    return DeadLetter(
        topic=reject.topic,
        partition=reject.partition,
        offset=reject.offset,
        reason=reject.reason,
        detail=reject.detail,
        key=_base64(kept.key),
        value=_base64(kept.value),
        broker_time_ms=reject.broker_time_ms,
        headers=[Header(key, base64.b64encode(data).decode()) for key, data in kept.headers],
        value_bytes=len(reject.value or b""),
        truncated=cut,
    )


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _unbase64(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
