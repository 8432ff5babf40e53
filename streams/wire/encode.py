"""For producers: keys and values of every topic, by the contract that the decoders read.

Invariant: what these functions make, the decoders accept (given the same settings), with equal values.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.errors import WireError
from muse_stream.streams.records import Headers
from muse_stream.streams.wire.answers import decode_answer
from muse_stream.streams.wire.behaviour_json import BehaviourValue
from muse_stream.streams.wire.formats import FORMAT_HEADER, FRAME_FORMAT
from muse_stream.streams.wire.frame import encode_frame
from muse_stream.streams.wire.ids import Id, key_of
from muse_stream.streams.wire.items import ItemValue
from muse_stream.streams.wire.partitioner import partition_of_users
from muse_stream.streams.wire.requests import Candidate, RequestValue
from muse_stream.streams.wire.users import UserValue
from muse_stream.streams.wire.vectors import DEFAULT_SPACE, VectorFields

__all__ = [
    "FRAME_HEADERS",
    "Encoded",
    "RequestValue",
    "candidate_with",
    "decode_answer",
    "encode_behaviour",
    "encode_behaviours",
    "encode_item",
    "encode_request",
    "encode_user",
]

FRAME_ROWS = 1_000  # 25 to 41 KB: past this, larger frames save nothing
FRAME_HEADERS: Headers = [(FORMAT_HEADER, FRAME_FORMAT.encode())]
_ENCODER = msgspec.json.Encoder()

KeyValue = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record ready to be sent to the partition it names."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers


def encode_behaviour(
    user: Id, item: Id, time_ms: int, action: Id, *, category: Id | None = None, event_id: Id | None = None
) -> KeyValue:
    """Key and JSON value of one behaviour. Raises IdError."""
    key_of(item)
    return key_of(user), _ENCODER.encode(BehaviourValue(item, time_ms, action, category, event_id))


def encode_behaviours(
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    time_ms: NDArray[np.int64],
    action: NDArray[np.uint8],
    *,
    partition_count: int,
    category: NDArray[np.int64] | None = None,
    event_id: NDArray[np.uint64] | None = None,
    rows_max: int = FRAME_ROWS,
) -> list[Encoded]:
    """Frames of behaviours `[n]` of integer users, each of one partition; rows keep their order within it.

    Raises WireError for a user or item of 0 and for columns of different shapes.
    """
    if not (np.asarray(user).all() and np.asarray(item).all()):
        message = "a user or item is 0, which means missing; number ids from 1"
        raise WireError(message)
    partitions = partition_of_users(np.ascontiguousarray(user, np.int64), partition_count)
    records = []
    for partition in np.unique(partitions).tolist():
        rows = np.flatnonzero(partitions == partition)
        for first in range(0, len(rows), rows_max):
            part = rows[first : first + rows_max]
            value = encode_frame(
                user[part],
                item[part],
                time_ms[part],
                action[part],
                category=None if category is None else category[part],
                event_id=None if event_id is None else event_id[part],
            )
            records.append(Encoded(partition, key_of(int(user[part[0]])), value, FRAME_HEADERS))
    return records


def encode_user(user: Id, features: Mapping[str, Id]) -> KeyValue:
    """Key and value of a user's profile. Raises IdError."""
    return key_of(user), _ENCODER.encode(UserValue(dict(features)))


def encode_item(
    item: Id,
    *,
    category: Id | None = None,
    features: Mapping[str, Id] | None = None,
    title: str | None = None,
    vector: NDArray[np.int8] | NDArray[np.floating[Any]] | None = None,
    space: str = DEFAULT_SPACE,
    more: Mapping[str, NDArray[np.int8]] | None = None,
) -> KeyValue:
    """Key and value of an item; int8 vectors `[d]` travel in base64, others as floats. Raises IdError.

    `more` has its vectors in further spaces: the record replaces the item whole, so it brings all of them.
    """
    forms = _vector_fields(vector)
    value = ItemValue(
        vector_int8=forms.vector_int8,
        vector_float=forms.vector_float,
        category=category,
        features=dict(features or {}),
        title=title,
        space=space,
        more_int8={name: base64.b64encode(other.tobytes()).decode() for name, other in (more or {}).items()},
    )
    return key_of(item), _ENCODER.encode(value)


def encode_request(user: Id, request: RequestValue) -> KeyValue:
    """Key and value of a request. Raises IdError."""
    return key_of(user), _ENCODER.encode(request)


def candidate_with(item: Id, vector: NDArray[Any]) -> Candidate:
    """A candidate that brings its own vector `[d]`: int8 as it is, others as floats."""
    forms = _vector_fields(vector)
    return Candidate(item=item, vector_int8=forms.vector_int8, vector_float=forms.vector_float)


def _vector_fields(vector: NDArray[Any] | None) -> VectorFields:
    if vector is None:
        return VectorFields()
    if vector.dtype == np.int8:
        return VectorFields(vector_int8=base64.b64encode(vector.tobytes()).decode())
    return VectorFields(vector_float=vector.astype(np.float64).tolist())
