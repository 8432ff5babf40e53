"""From ids to rows of embedding tables inside kernels.

Feature f is a row of int64 `features[f]`: where its table lies and how wide it is, and either an index over its sorted
ids or a number of buckets. An index is an open-addressed hash table of int32: 0 = free, else a row of the table, whose
id is `ids[row - 1]`; at most half of it is taken.

Invariant: the same rows as `esu_scorer.vocabulary` gives. Whoever makes `features` keeps the arrays alive.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from muse_stream.esu_scorer.kernels.jit import F32, I32, I64, Int, carray, cgutils, inner, kernel

TABLE, WIDTH, IDS, COUNT, INDEX, SLOTS, BUCKETS = range(7)  # addresses: TABLE, IDS, INDEX
COLUMNS = 7


@intrinsic
def _pointer(_context, address):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), emit


pointer: Any = _pointer


@intrinsic
def _prefetch(_context, address):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:  # noqa: ANN401
        place, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, data = (ir.Constant(number, value) for value in (0, 3, 1))
        builder.call(function, [builder.inttoptr(values[0], place), read, keep, data])
        return ir.Constant(ir.IntType(64), 0)

    return types.int64(types.int64), emit


prefetch: Any = _prefetch


@inner
def mix(value: Int) -> Int:
    """Spread 64 bits (the finaliser of SplitMix64, as in `HashedVocabulary`); uint64."""
    value = np.uint64(value)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@kernel
def fill_index(ids: I64, index: I32) -> None:
    """Enter all ids; `index` is zero and has a power of two of slots, at least twice as many as there are ids."""
    mask = np.uint64(len(index) - 1)
    for number in range(len(ids)):
        slot = mix(ids[number]) & mask
        while index[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        index[slot] = np.int32(number + 1)


@inner
def row_of(feature: I64, identifier: Int) -> Int:
    """Row of an id in a feature's table; 0 where it is unknown or missing."""
    if identifier == 0:
        return np.int64(0)
    if feature[BUCKETS] > 0:
        return np.int64(mix(identifier) % np.uint64(feature[BUCKETS])) + 1
    if feature[COUNT] == 0:
        return np.int64(0)
    ids = carray(pointer(feature[IDS]), (feature[COUNT],), np.int64)
    index = carray(pointer(feature[INDEX]), (feature[SLOTS],), np.int32)
    mask = np.uint64(feature[SLOTS] - 1)
    slot = mix(identifier) & mask
    while index[slot] != 0:
        row = np.int64(index[slot])
        if ids[row - 1] == identifier:
            return row
        slot = (slot + np.uint64(1)) & mask
    return np.int64(0)


@inner
def ask_index(feature: I64, identifier: Int) -> None:
    """Ask memory for an id's slot, so that the misses of many ids overlap; nothing depends on it."""
    if feature[COUNT] > 0:
        prefetch(feature[INDEX] + 4 * np.int64(mix(identifier) & np.uint64(feature[SLOTS] - 1)))


@inner
def ask_row(feature: I64, identifier: Int) -> None:
    """The same for the id and the embedding that the slot names: mostly they are the ones."""
    if feature[COUNT] == 0:
        return
    index = carray(pointer(feature[INDEX]), (feature[SLOTS],), np.int32)
    row = np.int64(index[mix(identifier) & np.uint64(feature[SLOTS] - 1)])
    if row > 0:
        prefetch(feature[IDS] + 8 * (row - 1))
        prefetch(feature[TABLE] + 4 * row * feature[WIDTH])


@inner
def embed(feature: I64, identifier: Int, out: F32, at: Int) -> Int:
    """Copy an id's embedding to `out[at:]`; returns where the next one goes."""
    width = feature[WIDTH]
    source = carray(pointer(feature[TABLE] + row_of(feature, identifier) * width * 4), (width,), np.float32)
    for i in range(width):
        out[at + i] = source[i]
    return at + width
