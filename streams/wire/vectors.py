"""Vectors in JSON: one of three forms, and the spaces that they live in.

    "vector":       [12, -127, 0, …]    int8, as numbers
    "vector_int8":  "DIEA…"             int8, base64 of d bytes (a third of the size; the form for volume)
    "vector_float": [0.0312, …]         float32, quantised here by the system's one rule

Invariant: a row that leaves here has its space's dimension and is not all zero.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from muse_stream.streams.wire.rejects import Reason
from muse_stream.streams.wire.values import bad

DEFAULT_SPACE = "v1"

Int8Row = NDArray[np.int8]
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


def vector_of(fields: VectorFields, dimension: int, quantise: Quantise) -> Int8Row | None:
    """The row `[d] int8`, or None when no form was sent. Raises BadRecordError."""
    sent = [form for form in (fields.vector, fields.vector_int8, fields.vector_float) if form is not None]
    if not sent:
        return None
    if len(sent) > 1:
        bad(Reason.BAD_VECTOR, "a vector is sent in more than one form; send vector, vector_int8 or vector_float")
    if fields.vector is not None:
        row = _from_numbers(fields.vector, dimension)
    elif fields.vector_int8 is not None:
        row = _from_base64(fields.vector_int8, dimension)
    else:
        row = _from_floats(fields.vector_float or [], dimension, quantise)
    if not row.any():
        bad(Reason.BAD_VECTOR, "the vector is all zero and has no direction; leave it out for an item without one")
    return row


def _from_numbers(numbers: list[int], dimension: int) -> Int8Row:
    _check_size(len(numbers), dimension, "numbers")
    if min(numbers) < -128 or max(numbers) > 127:
        bad(Reason.BAD_VECTOR, f"vector spans {min(numbers)}..{max(numbers)}; int8 is -128..127, or send vector_float")
    return np.array(numbers, np.int8)


def _from_base64(text: str, dimension: int) -> Int8Row:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        bad(Reason.BAD_VECTOR, f"vector_int8 is not base64: {error}; send the standard alphabet with padding")
    _check_size(len(data), dimension, "bytes")
    return np.frombuffer(data, np.int8)


def _from_floats(numbers: list[float], dimension: int, quantise: Quantise) -> Int8Row:
    _check_size(len(numbers), dimension, "numbers")
    with np.errstate(over="ignore"):
        row = np.array(numbers, np.float64).astype(np.float32)
    if not np.isfinite(row).all():
        bad(Reason.BAD_VECTOR, "vector_float holds numbers that float32 cannot; send finite float32 values")
    if not row.any():
        return np.zeros(dimension, np.int8)
    quantised: Int8Row = quantise(row[np.newaxis])[0]
    return quantised


def _check_size(found: int, dimension: int, unit: str) -> None:
    if found != dimension:
        bad(
            Reason.BAD_VECTOR,
            f"the vector has {found} {unit}, its space has {dimension}; send the right encoder's output",
        )
