"""Products with, and sums of, a few chosen rows of a matrix, in vector registers.

Rows are cut into blocks of `BLOCK` floats, the last padded with zeros; addresses are int64. A sum over rows is one
chain of multiply-adds in the order of the rows.
"""

# ruff: noqa: PLR0917 - intrinsics take their operands one by one

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from muse_stream.esu_scorer.kernels.jit import cgutils

BLOCK = 32
"""2D of the released network: the whole row in two registers of AVX-512."""

FLOAT_BYTES = 4
_I32, _I64, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_BLOCK = ir.VectorType(_FLOAT, BLOCK)


class _Writer:
    """Writes loops over rows and blocks."""

    def __init__(self, builder: Any) -> None:  # noqa: ANN401 - llvmlite has no types
        self.builder = builder

    def load(self, base: Any, index: Any, kind: Any, size: int) -> Any:  # noqa: ANN401
        """Element `index` of an array of `kind`, each `size` bytes."""
        place = self.builder.add(base, self.builder.mul(index, ir.Constant(_I64, size)))
        return self.builder.load(self.builder.inttoptr(place, kind.as_pointer()), align=FLOAT_BYTES)

    def store(self, value: Any, base: Any, index: Any, size: int) -> None:  # noqa: ANN401
        """Likewise."""
        place = self.builder.add(base, self.builder.mul(index, ir.Constant(_I64, size)))
        self.builder.store(value, self.builder.inttoptr(place, value.type.as_pointer()), align=FLOAT_BYTES)

    def row(self, rows: Any, stride: Any, which: Any, index: Any) -> Any:  # noqa: ANN401
        """Address of the row that `which[index]` names."""
        number = self.builder.zext(self.load(which, index, _I32, FLOAT_BYTES), _I64)
        return self.builder.add(rows, self.builder.mul(number, stride))

    def multiply_add(self, first: Any, second: Any, total: Any) -> Any:  # noqa: ANN401
        """`first * second + total`, by lanes."""
        kind = ir.FunctionType(_BLOCK, [_BLOCK] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fmuladd.v{BLOCK}f32")
        return self.builder.call(function, [first, second, total])

    def sum_lanes(self, vector: Any) -> Any:  # noqa: ANN401
        """Sum of all lanes, in whatever order is fastest, always the same."""
        kind = ir.FunctionType(_FLOAT, [_FLOAT, _BLOCK])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.vector.reduce.fadd.v{BLOCK}f32")
        return self.builder.call(function, [ir.Constant(_FLOAT, 0.0), vector], fastmath=("reassoc",))

    def broadcast(self, scalar: Any) -> Any:  # noqa: ANN401
        """The same number in all lanes."""
        undefined = ir.Constant(_BLOCK, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, BLOCK), None))


def _zeros() -> Any:  # noqa: ANN401
    return ir.Constant(_BLOCK, [0.0] * BLOCK)


@intrinsic
def _products(_context, query, blocks, rows, stride, which, count, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:  # noqa: ANN401
        query, blocks, rows, stride, which, count, out = values
        writer = _Writer(builder)
        with cgutils.for_range(builder, count) as outer:
            row = writer.row(rows, stride, which, outer.index)
            total = cgutils.alloca_once_value(builder, _zeros())
            builder.store(_zeros(), total)
            with cgutils.for_range(builder, blocks) as inner:
                ours = writer.load(query, inner.index, _BLOCK, FLOAT_BYTES * BLOCK)
                theirs = writer.load(row, inner.index, _BLOCK, FLOAT_BYTES * BLOCK)
                builder.store(writer.multiply_add(ours, theirs, builder.load(total)), total)
            writer.store(writer.sum_lanes(builder.load(total)), out, outer.index, FLOAT_BYTES)
        return ir.Constant(_I64, 0)

    return types.int64(*[types.int64] * 7), emit


@intrinsic
def _weighted_sum(_context, weights, blocks, rows, stride, which, count, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:  # noqa: ANN401
        weights, blocks, rows, stride, which, count, out = values
        writer = _Writer(builder)
        with cgutils.for_range(builder, blocks) as outer:
            base = builder.add(rows, builder.mul(outer.index, ir.Constant(_I64, FLOAT_BYTES * BLOCK)))
            total = cgutils.alloca_once_value(builder, _zeros())
            builder.store(_zeros(), total)
            with cgutils.for_range(builder, count) as inner:
                row = writer.row(base, stride, which, inner.index)
                theirs = writer.load(row, ir.Constant(_I64, 0), _BLOCK, FLOAT_BYTES * BLOCK)
                weight = writer.broadcast(writer.load(weights, inner.index, _FLOAT, FLOAT_BYTES))
                builder.store(writer.multiply_add(weight, theirs, builder.load(total)), total)
            writer.store(builder.load(total), out, outer.index, FLOAT_BYTES * BLOCK)
        return ir.Constant(_I64, 0)

    return types.int64(*[types.int64] * 7), emit


@intrinsic
def _tier(_context, cosine):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:  # noqa: ANN401
        kind = ir.FunctionType(_FLOAT, [_FLOAT])
        ceil = cgutils.get_or_insert_function(builder.module, kind, "llvm.ceil.f32")
        tenths = builder.call(ceil, [builder.fmul(values[0], ir.Constant(_FLOAT, 10.0))])
        tier = builder.fadd(tenths, ir.Constant(_FLOAT, 10.0))
        for end, beyond in ((0.0, "<"), (TIERS - 1.0, ">")):
            limit = ir.Constant(_FLOAT, end)
            tier = builder.select(builder.fcmp_ordered(beyond, tier, limit), limit, tier)
        return builder.fptosi(tier, _I64)

    return types.int64(types.float32), emit


TIERS = 22  # as in `network.simtier`

products: Any = _products
"""`out[i] = query . rows[which[i]]` for `count` rows of `blocks` blocks."""

weighted_sum: Any = _weighted_sum
"""`out = sum weights[i] rows[which[i]]` over `count` rows of `blocks` blocks."""

tier: Any = _tier
"""SimTier's bin of a finite float32 cosine: the float32 product with ten, rounded up, plus ten, within 0..21."""
