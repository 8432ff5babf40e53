"""Exponentials and what is made of them, row by row in vector lanes.

`exp` is the float32 polynomial of the Cephes library (Moshier), within 2 units in the last place between -87 and 88 and
held at those ends beyond; NaN stays NaN. Written in LLVM's terms, because the compiler vectorises that and no call.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from muse_stream.esu_scorer.kernels.jit import F32, Int, Real, cgutils, inner

LOWEST, HIGHEST = -87.0, 88.0
LAYER_NORM_EPS = np.float32(1e-12)  # as in `network.tower`
ONE = np.float32(1)
_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.44269504088896341, 0.693359375, -2.12194440e-4
_POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_FLOAT, _I32 = ir.FloatType(), ir.IntType(32)


def _constant(value: float) -> Any:  # noqa: ANN401 - llvmlite has no types
    return ir.Constant(_FLOAT, float(np.float32(value)))


@intrinsic
def _exp(_context, x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:  # noqa: ANN401
        def call(name: str, *operands: Any) -> Any:  # noqa: ANN401
            kind = ir.FunctionType(_FLOAT, [_FLOAT] * len(operands))
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.f32"), operands)

        value = values[0]
        for end, beyond in ((LOWEST, "<"), (HIGHEST, ">")):  # a comparison with NaN is false: it stays
            value = builder.select(builder.fcmp_ordered(beyond, value, _constant(end)), _constant(end), value)
        power = call("floor", call("fmuladd", value, _constant(_LOG2_E), _constant(0.5)))
        rest = call("fmuladd", power, _constant(-_LN2_HIGH), value)
        rest = call("fmuladd", power, _constant(-_LN2_LOW), rest)
        total = _constant(_POLYNOMIAL[0])
        for factor in _POLYNOMIAL[1:]:
            total = call("fmuladd", total, rest, _constant(factor))
        total = builder.fadd(call("fmuladd", total, builder.fmul(rest, rest), rest), _constant(1.0))
        exponent = builder.add(builder.fptosi(power, _I32), ir.Constant(_I32, 127))
        scale = builder.bitcast(builder.shl(exponent, ir.Constant(_I32, 23)), _FLOAT)
        return builder.fmul(total, scale)

    return types.float32(types.float32), emit


exp: Any = _exp


@inner
def silu(row: F32) -> None:
    """`x / (1 + exp(-x))`, in place."""
    for i in range(len(row)):
        row[i] = row[i] / (ONE + exp(-row[i]))


@inner
def softmax(scores: F32, count: Int, floor: Real) -> None:
    """Softmax of the first `count` plus a floor, in place; nothing where there are none."""
    if count == 0:
        return
    most = scores[0]
    for i in range(1, count):
        most = scores[i] if scores[i] > most else most
    total = np.float32(0)
    for i in range(count):
        scores[i] = exp(scores[i] - most)
    for i in range(count):
        total += scores[i]
    for i in range(count):
        scores[i] = scores[i] / total + floor


@inner
def dice(row: F32, gamma: F32) -> None:
    """Dice with the row's own statistics, in place (see `network.tower.Dice`)."""
    width = np.float32(len(row))
    total, squares = np.float32(0), np.float32(0)
    for i in range(len(row)):
        total += row[i]
    mean = total / width
    for i in range(len(row)):
        squares += (row[i] - mean) * (row[i] - mean)
    scale = ONE / np.sqrt(squares / width + LAYER_NORM_EPS)
    for i in range(len(row)):
        p = ONE / (ONE + exp((mean - row[i]) * scale))
        row[i] = gamma[i] * (ONE - p) * row[i] + p * row[i]
