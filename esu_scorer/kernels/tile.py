"""Matrix products: some rows of inputs times a panel of packed weights, summed in vector registers.

A linear layer's weights `[N, depth]` are packed into panels of `LANES` outputs, `[N / LANES, depth, LANES]`, the last
padded with zeros. A tile adds the products of up to six rows with one panel to what lies in the output.

Invariant: each output is one chain of multiply-adds in the order of the depth, whatever rows share the tile, so a row's
result does not depend on how many others there are.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from muse_stream.esu_scorer.kernels.jit import F32, FEATURES, Int, cgutils, inner

# Outputs per panel: six rows of sums, one of weights, fill 28 of AVX-512's 32 registers, 14 of AVX2's 16.
LANES = 64 if "+avx512f" in FEATURES else 16
FLOAT_BYTES = 4
_I64, _FLOAT = ir.IntType(64), ir.FloatType()
_PANEL = ir.VectorType(_FLOAT, LANES)


class _Tile:
    """Writes one tile's code: for `rows` rows."""

    def __init__(self, builder: Any, rows: int, arguments: Any) -> None:  # noqa: ANN401 - llvmlite has no types
        self.builder, self.rows = builder, rows
        self.inputs, self.input_bytes, self.panel, self.outputs, self.output_bytes, self.depth = arguments

    def write(self) -> None:
        """The whole tile."""
        builder = self.builder
        inputs = [self._row(self.inputs, self.input_bytes, row) for row in range(self.rows)]
        outputs = [self._row(self.outputs, self.output_bytes, row) for row in range(self.rows)]
        first = [builder.load(builder.inttoptr(output, _PANEL.as_pointer()), align=FLOAT_BYTES) for output in outputs]
        for output, total in zip(outputs, self._sums(inputs, first), strict=True):
            builder.store(total, builder.inttoptr(output, _PANEL.as_pointer()), align=FLOAT_BYTES)

    def _row(self, base: Any, stride: Any, row: int) -> Any:  # noqa: ANN401
        return self.builder.add(base, self.builder.mul(stride, ir.Constant(_I64, row)))

    def _sums(self, inputs: list[Any], first: list[Any]) -> list[Any]:
        """The loop over the depth, which is at least 1."""
        builder, before = self.builder, self.builder.block
        loop, done = builder.append_basic_block("depth"), builder.append_basic_block("summed")
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(_I64)
        step.add_incoming(ir.Constant(_I64, 0), before)
        totals = [builder.phi(_PANEL) for _ in inputs]
        weights = self._at(self.panel, step, FLOAT_BYTES * LANES, _PANEL)
        sums = [
            self._multiply_add(self._broadcast(self._at(row, step, FLOAT_BYTES, _FLOAT)), weights, total)
            for row, total in zip(inputs, totals, strict=True)
        ]
        following = builder.add(step, ir.Constant(_I64, 1))
        step.add_incoming(following, loop)
        for total, start, following_sum in zip(totals, first, sums, strict=True):
            total.add_incoming(start, before)
            total.add_incoming(following_sum, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.depth), loop, done)
        builder.position_at_end(done)
        return sums

    def _at(self, base: Any, step: Any, size: int, kind: Any) -> Any:  # noqa: ANN401
        place = self.builder.add(base, self.builder.mul(step, ir.Constant(_I64, size)))
        return self.builder.load(self.builder.inttoptr(place, kind.as_pointer()), align=FLOAT_BYTES)

    def _broadcast(self, scalar: Any) -> Any:  # noqa: ANN401
        undefined = ir.Constant(_PANEL, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))

    def _multiply_add(self, first: Any, second: Any, total: Any) -> Any:  # noqa: ANN401
        kind = ir.FunctionType(_PANEL, [_PANEL] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        return self.builder.call(function, [first, second, total])


def _tile_of(rows: int) -> Any:  # noqa: ANN401 - an intrinsic, which has no type
    def typed(_context: Any, *arguments: Any) -> Any:  # noqa: ANN401
        def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:  # noqa: ANN401
            _Tile(builder, rows, values).write()
            return ir.Constant(_I64, 0)

        return types.int64(*[types.int64] * len(arguments)), emit

    def tile(context, inputs, input_bytes, panel, outputs, output_bytes, depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return typed(context, inputs, input_bytes, panel, outputs, output_bytes, depth)

    return intrinsic(tile)


tile6: Any = _tile_of(6)
tile3: Any = _tile_of(3)
tile1: Any = _tile_of(1)


@inner
def multiply(inputs: F32, rows: Int, panels: F32, outputs: F32) -> None:
    """Add `inputs [rows, depth]` times the packed weights `panels [n, depth, LANES]` to `outputs [rows, n * LANES]`.

    The arrays may be wider and have more rows than that.
    """
    depth = panels.shape[1]
    if depth == 0:
        return
    stride, out_stride = inputs.strides[0], outputs.strides[0]
    for number in range(panels.shape[0]):
        panel = panels[number].ctypes.data
        out = outputs.ctypes.data + number * LANES * FLOAT_BYTES
        row = np.int64(0)
        while row + 6 <= rows:
            tile6(inputs.ctypes.data + row * stride, stride, panel, out + row * out_stride, out_stride, depth)
            row += 6
        if row + 3 <= rows:
            tile3(inputs.ctypes.data + row * stride, stride, panel, out + row * out_stride, out_stride, depth)
            row += 3
        while row < rows:
            tile1(inputs.ctypes.data + row * stride, stride, panel, out + row * out_stride, out_stride, depth)
            row += 1
