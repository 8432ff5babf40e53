"""Vectors in JSON: one of three forms, and the spaces that they live in.

    "vector":       [12, -127, 0, …]    int8, as numbers
    "vector_int8":  "DIEA…"             int8, base64 of d bytes (a third of the size; the form for volume)
    "vector_float": [0.0312, …]         float32, quantised here by the system's one rule

Invariant: a vector that leaves here has its space's dimension, only finite numbers, and is not all zero.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NoReturn

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from muse_stream.streams.wire.rejects import Reason
from muse_stream.streams.wire.values import bad

DEFAULT_SPACE = "v1"

Vector = bytes | NDArray[np.float32]
"""One checked vector: `d` int8 bytes, or `[d] float32` that is still to be quantised (many at once, for speed)."""

Quantise = Callable[[NDArray[np.float32]], NDArray[np.int8]]
"""float32 rows `[n, d]` to int8 rows `[n, d]`."""


class VectorFields(msgspec.Struct, omit_defaults=True):
    """The three forms; at most one of them is sent."""

    vector: Annotated[list[int] | None, Meta(description="int8 numbers, -128 to 127.")] = None
    vector_int8: Annotated[str | None, Meta(description="int8 bytes in base64.")] = None
    vector_float: Annotated[list[float] | None, Meta(description="Finite numbers, quantised on arrival.")] = None


def dimension_of(space: str, spaces: Mapping[str, int]) -> int:
    """Dimension of a configured space. Raises BadRecordError."""
    if space not in spaces:
        bad(Reason.UNKNOWN_SPACE, f"space is {space!r}; configured: {', '.join(sorted(spaces)) or 'none'}")
    return spaces[space]


def vector_of(fields: VectorFields, dimension: int) -> Vector | None:
    """The vector, or None when no form was sent. Raises BadRecordError."""
    sent = (fields.vector is not None) + (fields.vector_int8 is not None) + (fields.vector_float is not None)
    if sent == 0:
        return None
    if sent > 1:
        bad(Reason.BAD_VECTOR, "a vector is sent in more than one form; send vector, vector_int8 or vector_float")
    if fields.vector_int8 is not None:
        return from_base64(fields.vector_int8, dimension)
    if fields.vector is not None:
        return _from_numbers(fields.vector, dimension)
    return _from_floats(fields.vector_float or [], dimension)


def stack(vectors: Sequence[Vector], dimension: int, quantise: Quantise) -> NDArray[np.int8]:
    """Checked vectors of one space as rows `[m, d] int8`."""
    rows = np.empty((len(vectors), dimension), np.int8)
    whole = np.fromiter((isinstance(vector, bytes) for vector in vectors), np.bool_, len(vectors))
    packed = b"".join([vector for vector in vectors if isinstance(vector, bytes)])
    rows[whole] = np.frombuffer(packed, np.int8).reshape(-1, dimension)
    floats = [vector for vector in vectors if not isinstance(vector, bytes)]
    if floats:
        rows[~whole] = quantise(np.stack(floats))
    return rows


def _from_numbers(numbers: list[int], dimension: int) -> bytes:
    _check_size(len(numbers), dimension, "numbers")
    if min(numbers) < -128 or max(numbers) > 127:
        bad(Reason.BAD_VECTOR, f"vector spans {min(numbers)}..{max(numbers)}; int8 is -128..127, or send vector_float")
    if not any(numbers):
        _all_zero()
    return bytes(number & 0xFF for number in numbers)


def from_base64(text: str, dimension: int) -> bytes:
    """The int8 bytes of a vector. Raises BadRecordError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        bad(Reason.BAD_VECTOR, f"the vector is not base64: {error}; send the standard alphabet with padding")
    _check_size(len(data), dimension, "bytes")
    if data.count(0) == dimension:
        _all_zero()
    return data


def _from_floats(numbers: list[float], dimension: int) -> NDArray[np.float32]:
    _check_size(len(numbers), dimension, "numbers")
    with np.errstate(over="ignore"):
        row = np.array(numbers, np.float64).astype(np.float32)
    if not np.isfinite(row).all():
        bad(Reason.BAD_VECTOR, "vector_float holds numbers that float32 cannot; send finite float32 values")
    if not row.any():
        _all_zero()
    return row


def _all_zero() -> NoReturn:
    bad(Reason.BAD_VECTOR, "the vector is all zero and has no direction; leave it out for an item without one")


def _check_size(found: int, dimension: int, unit: str) -> None:
    if found != dimension:
        detail = f"the vector has {found} {unit}, its space has {dimension}; send the right encoder's output"
        bad(Reason.BAD_VECTOR, detail)
