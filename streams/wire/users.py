"""Users: profile features, the latest record of a user wins, null forgets.

    {"features": {"country": 17, "price_band": "high"}}

A profile is kept whole, whatever features the present model reads, so that the next model finds its own. It is
normalised to ids: `{"country":17,"price_band":-4039…}`, names sorted, features of id 0 (missing) left out.

Invariant: equal features give equal profile bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.formats import Fault
from muse_stream.streams.wire.ids import Id, IdField
from muse_stream.streams.wire.keys import check_keys, rejects_of
from muse_stream.streams.wire.rejects import Reason, Reject
from muse_stream.streams.wire.values import BadRecordError, bad, parse_id, parse_value

VALUE_BYTES_MAX = 65_536  # a thousand features with names of 50 bytes


class UserValue(msgspec.Struct, forbid_unknown_fields=True):
    """The value of a record on the users topic; a null value forgets the profile."""

    features: Annotated[dict[str, IdField | None], Meta(description="Feature names and ids; 0 or null: not known.")]


@dataclass(frozen=True, slots=True)
class UserRules:
    """What is accepted on the users topic: its partition count, the largest value."""

    partition_count: int
    bytes_max: int = VALUE_BYTES_MAX


_DECODER = msgspec.json.Decoder(UserValue)
_PROFILE_DECODER = msgspec.json.Decoder(dict[str, int])
_ENCODER = msgspec.json.Encoder(order="deterministic")


def decode_users(records: RecordBatch, rules: UserRules) -> tuple[NDArray[np.int64], list[bytes | None], list[Reject]]:
    """Users `[n] int64` and their profiles in log order (None = forget), and what could not be used."""
    ids, usable, faults = check_keys(records, partition_count=rules.partition_count)
    rows, profiles = [], []
    for row in np.flatnonzero(usable).tolist():
        try:
            profiles.append(_profile(records.values[row], rules))
            rows.append(row)
        except BadRecordError as error:
            faults.append(Fault(row, error.reason, error.detail))
    return ids[np.array(rows, np.intp)], profiles, rejects_of(records, faults)


def encode_profile(features: Mapping[str, int]) -> bytes:
    """Profile bytes of features that are ids already."""
    return _ENCODER.encode({name: value for name, value in features.items() if value})


def decode_profile(profile: bytes | None) -> dict[str, int]:
    """Features of a stored profile; none for a user that is not known."""
    return _PROFILE_DECODER.decode(profile) if profile else {}


def check_size(data: bytes, limit: int, erasing: str) -> None:
    """Raise BadRecordError for a value without bytes or above the limit."""
    if not data:
        bad(Reason.EMPTY_VALUE, f"the value has no bytes; send a JSON object, or null to {erasing}")
    if len(data) > limit:
        bad(Reason.OVERSIZE, f"the value has {len(data)} bytes, at most {limit} are read; send less")


def _profile(data: bytes | None, rules: UserRules) -> bytes | None:
    if data is None:
        return None
    check_size(data, rules.bytes_max, "forget the user")
    features = parse_value(_DECODER, data, "users").features
    return encode_profile({name: _feature(name, value) for name, value in features.items()})


def _feature(name: str, value: Id | None) -> int:
    return 0 if value is None else parse_id(value, f"features.{name}")
