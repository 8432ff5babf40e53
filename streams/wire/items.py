"""Items: what the item log says of each item; the latest record wins, null forgets.

    {"category": 17, "features": {"brand": "acme"}, "title": "WHITE HEART", "space": "v1", "vector_int8": "DIEA…"}

All fields are optional; an item may have no vector, and gets one by a later record, which replaces the whole item.
Vectors of further spaces come in the same record, `"more_int8": {"v2": "DIEA…"}`: while an encoder is replaced, an item
has one of both.
Features that are not configured are read over: their producer may be ahead of this deployment.

Invariant: columns are in log order, and an item may appear more than once in them; apply them in that order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from muse_stream.state.item_chunks import ItemBatch
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.formats import Fault
from muse_stream.streams.wire.ids import Id, IdField
from muse_stream.streams.wire.keys import check_keys, rejects_of
from muse_stream.streams.wire.rejects import Reason, Reject
from muse_stream.streams.wire.users import check_size
from muse_stream.streams.wire.values import BadRecordError, bad, parse_id, parse_value
from muse_stream.streams.wire.vectors import (
    DEFAULT_SPACE,
    Quantise,
    Vector,
    VectorFields,
    dimension_of,
    from_base64,
    stack,
    vector_of,
)

VALUE_BYTES_MAX = 262_144  # a vector of 1 024 floats written with 20 digits takes a tenth of it


class ItemValue(VectorFields, forbid_unknown_fields=True, omit_defaults=True):
    """The value of a record on the items topic; a null value forgets the item."""

    category: Annotated[IdField | None, Meta(description="The item's category; 0, null or absent: not known.")] = None
    features: Annotated[dict[str, IdField | None], Meta(description="Feature names and ids; 0 or null: not known.")] = (
        msgspec.field(default_factory=dict)
    )
    title: Annotated[str | None, Meta(description="For people to read.")] = None
    space: Annotated[str, Meta(description="The vector space that the vector lives in.")] = DEFAULT_SPACE
    more_int8: Annotated[
        dict[str, str], Meta(description="Vectors in further spaces: the space's name, and int8 bytes in base64.")
    ] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemRules:
    """What is accepted on the items topic.

    Attributes:
        spaces: Configured vector spaces and their dimensions.
        quantise: The one rule that turns float32 rows into int8 rows.
        features: Names of the features that are kept, in column order.
        bytes_max: Largest value.

    """

    spaces: Mapping[str, int]
    quantise: Quantise
    features: tuple[str, ...] = ()
    bytes_max: int = VALUE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class _Item:
    category: int
    features: list[int]
    title: str | None
    forget: bool
    vectors: Mapping[str, Vector]


_DECODER = msgspec.json.Decoder(ItemValue)


def decode_items(records: RecordBatch, rules: ItemRules) -> tuple[ItemBatch, list[Reject]]:
    """Items of a batch of records, and what could not be used, both in log order. Raises on no input."""
    ids, usable, faults = check_keys(records, partition_count=None)
    rows, items = [], []
    for row in np.flatnonzero(usable).tolist():
        try:
            items.append(_item(records.values[row], rules))
            rows.append(row)
        except BadRecordError as error:
            faults.append(Fault(row, error.reason, error.detail))
    return _batch(ids[np.array(rows, np.intp)], items, rules), rejects_of(records, faults)


def _item(data: bytes | None, rules: ItemRules) -> _Item:
    if data is None:
        return _Item(0, [0] * len(rules.features), None, True, {})
    check_size(data, rules.bytes_max, "forget the item")
    value = parse_value(_DECODER, data, "items")
    vectors = _vectors(value, rules.spaces)
    sent = {name: _optional_id(feature, f"features.{name}") for name, feature in value.features.items()}
    features = [sent.get(name, 0) for name in rules.features]
    return _Item(_optional_id(value.category, "category"), features, value.title, False, vectors)


def _vectors(value: ItemValue, spaces: Mapping[str, int]) -> dict[str, Vector]:
    """The vectors of an item by their spaces."""
    vector = vector_of(value, dimension_of(value.space, spaces))
    found: dict[str, Vector] = {} if vector is None else {value.space: vector}
    for space, text in value.more_int8.items():
        if space in found:
            bad(Reason.BAD_VECTOR, f"more_int8 has a second vector of space {space!r}; send one of each space")
        found[space] = from_base64(text, dimension_of(space, spaces))
    return found


def _optional_id(value: Id | None, name: str) -> int:
    return 0 if value is None else parse_id(value, name)


def _batch(ids: NDArray[np.int64], items: list[_Item], rules: ItemRules) -> ItemBatch:
    vectors: dict[str, tuple[NDArray[np.int64], NDArray[np.int8]]] = {}
    for space in sorted({space for item in items for space in item.vectors}):
        held = [(row, item.vectors[space]) for row, item in enumerate(items) if space in item.vectors]
        rows = stack([vector for _, vector in held], rules.spaces[space], rules.quantise)
        vectors[space] = np.array([row for row, _ in held], np.int64), rows
    return ItemBatch(
        item=ids,
        category=np.array([item.category for item in items], np.int64),
        features=np.array([item.features for item in items], np.int64).reshape(len(items), len(rules.features)),
        feature_names=rules.features,
        title=[item.title for item in items],
        forget=np.array([item.forget for item in items], np.bool_),
        vectors=vectors,
    )
