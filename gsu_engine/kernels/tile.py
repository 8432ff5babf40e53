"""The inner product tile: some candidates against one block of rows, compared with thresholds, in vector registers.

LLVM vector code is emitted directly, so that accumulators stay in registers whatever the compiler's loop vectoriser
thinks. Two forms, one answer (dot products of int8 vectors are integers below 2^24 at d <= 1 040, exact either way):

- `int8`: AVX-512 VNNI `vpdpbusd`, 64 multiply-adds per instruction. It multiplies unsigned by signed: rows are stored
  with +128 and a sum comes out 128 x sum(candidate) too large: callers add that bias to thresholds and take it off
  results. Block: `uint8 [d/4][ROWS][4]`.
- `float32`: any CPU; `llvm.fmuladd` becomes a fused multiply-add where there is one. Block: `float32 [d][ROWS]`.

A tile returns 0 when no sum is above its threshold: then nothing was written. Else it has written all sums
`[candidates][ROWS]` and, behind them, one 64-bit mask per candidate (bit r = row r is above).

Registers: `candidates x vectors` accumulators + `vectors` loads + 1 broadcast must fit: 6 x 4 of AVX-512's 32, 6 x 2 of
AVX2's and SSE's 16, 6 x 4 of NEON's 32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from muse_stream.gsu_engine.kernels.jit import config

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32 = ir.FloatType()
Value = Any  # llvmlite's types, values and builders carry no annotations
external: Any = cgutils.get_or_insert_function
CANDIDATES = 6
UNROLL = 4  # steps per loop: d is a multiple of 64, so d / 4 is one of 4
VNNI_TAKES_BYTES_FROM = 22  # LLVM release from which the intrinsic's operands are <64 x i8>, before it <16 x i32>


@dataclass(frozen=True, slots=True)
class Shape:
    """A tile's form: vectors of `lanes` 32-bit sums, `vectors` of them side by side = rows of a block."""

    integer: bool
    lanes: int
    vectors: int

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return self.lanes * self.vectors


def host_features() -> dict[str, bool]:
    """CPU features that numba compiles for."""
    if config.CPU_NAME == "generic":
        return {}
    if config.CPU_FEATURES is not None:
        return {name[1:]: name.startswith("+") for name in config.CPU_FEATURES.split(",") if name}
    return dict(binding.get_host_cpu_features())


def float_shape(features: dict[str, bool]) -> Shape:
    """The portable form for a CPU with these features."""
    if features.get("avx512f"):
        return Shape(False, 16, 4)
    if features.get("avx"):
        return Shape(False, 8, 2)
    if features.get("neon"):
        return Shape(False, 4, 4)
    return Shape(False, 4, 2)


FEATURES = host_features()
HAS_VNNI = bool(FEATURES.get("avx512vnni") and FEATURES.get("avx512bw"))
INT8 = Shape(True, 16, 4)
FLOAT32 = float_shape(FEATURES)


class _Emitter:
    """Writes one tile's code."""

    def __init__(self, builder: Value, shape: Shape, candidates: int) -> None:
        self.builder, self.shape, self.candidates = builder, shape, candidates
        self.scalar = I32 if shape.integer else F32
        self.vector = ir.VectorType(self.scalar, shape.lanes)
        self.bytes = ir.VectorType(I8, 4 * shape.lanes)

    def pointer(self, address: Value, kind: Value) -> Value:
        return self.builder.inttoptr(address, kind.as_pointer())

    def broadcast(self, scalar: Value) -> Value:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        lanes = ir.Constant(ir.VectorType(I32, self.shape.lanes), [0] * self.shape.lanes)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def multiply_add(self, total: Value, row: Value, query: Value) -> Value:
        """`total + row * query`; with int8, four products per lane."""
        module = self.builder.module
        if not self.shape.integer:
            kind = ir.FunctionType(self.vector, [self.vector] * 3)
            function = external(module, kind, f"llvm.fmuladd.v{self.shape.lanes}f32")
            return self.builder.call(function, [row, query, total])
        packed = self.bytes if binding.llvm_version_info[0] >= VNNI_TAKES_BYTES_FROM else self.vector
        kind = ir.FunctionType(self.vector, [self.vector, packed, packed])
        function = external(module, kind, "llvm.x86.avx512.vpdpbusd.512")
        return self.builder.call(
            function, [total, self.builder.bitcast(row, packed), self.builder.bitcast(query, packed)]
        )

    def step(self, totals: list[list[Value]], block: Value, queries: list[Value], at: Value) -> list[list[Value]]:
        """One 4-byte step along the width for all candidates and vectors of the block."""
        base = self.builder.add(block, self.builder.mul(at, ir.Constant(I64, 4 * self.shape.rows)))
        rows = []
        for vector in range(self.shape.vectors):
            place = self.builder.add(base, ir.Constant(I64, 4 * self.shape.lanes * vector))
            rows.append(self.builder.load(self.pointer(place, self.vector), align=4 * self.shape.lanes))
        offset = self.builder.mul(at, ir.Constant(I64, 4))
        after = []
        for candidate, query in enumerate(queries):
            place = self.pointer(self.builder.add(query, offset), self.scalar)
            value = self.broadcast(self.builder.load(place, align=4))
            after.append([self.multiply_add(totals[candidate][v], row, value) for v, row in enumerate(rows)])
        return after

    def product(self, block: Value, query: Value, stride: Value, steps: Value) -> list[list[Value]]:
        """The loop over the width; returns the sums `[candidates][vectors]`."""
        builder = self.builder
        queries = [builder.add(query, builder.mul(stride, ir.Constant(I64, c))) for c in range(self.candidates)]
        before = builder.block
        loop, done = builder.append_basic_block("width"), builder.append_basic_block("summed")
        builder.branch(loop)
        builder.position_at_end(loop)
        at = builder.phi(I64)
        at.add_incoming(ir.Constant(I64, 0), before)
        zero = ir.Constant(self.vector, [0] * self.shape.lanes)
        sums = [[builder.phi(self.vector) for _ in range(self.shape.vectors)] for _ in range(self.candidates)]
        totals = sums
        for unrolled in range(UNROLL):
            totals = self.step(totals, block, queries, builder.add(at, ir.Constant(I64, unrolled)))
        following = builder.add(at, ir.Constant(I64, UNROLL))
        at.add_incoming(following, loop)
        for phis, values in zip(sums, totals, strict=True):
            for phi, value in zip(phis, values, strict=True):
                phi.add_incoming(zero, before)
                phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, steps), loop, done)
        builder.position_at_end(done)
        return totals

    def masks(self, totals: list[list[Value]], thresholds: Value) -> list[Value]:
        """Per candidate a 64-bit mask of the rows above its threshold."""
        builder, result = self.builder, []
        for candidate, vectors in enumerate(totals):
            place = builder.add(thresholds, ir.Constant(I64, 4 * candidate))
            limit = self.broadcast(builder.load(self.pointer(place, self.scalar), align=4))
            mask = ir.Constant(I64, 0)
            for v, total in enumerate(vectors):
                above = builder.icmp_signed if self.shape.integer else builder.fcmp_ordered
                bits = builder.bitcast(above(">", total, limit), ir.IntType(self.shape.lanes))
                shifted = builder.shl(builder.zext(bits, I64), ir.Constant(I64, v * self.shape.lanes))
                mask = builder.or_(mask, shifted)
            result.append(mask)
        return result

    def write(self, totals: list[list[Value]], masks: list[Value], out: Value) -> None:
        """Sums, then masks."""
        builder, size = self.builder, 4 * self.shape.lanes
        for candidate, vectors in enumerate(totals):
            for v, total in enumerate(vectors):
                place = builder.add(out, ir.Constant(I64, (candidate * self.shape.vectors + v) * size))
                builder.store(total, self.pointer(place, self.vector), align=size)
        behind = self.candidates * self.shape.vectors * size
        for candidate, mask in enumerate(masks):
            place = builder.add(out, ir.Constant(I64, behind + 8 * candidate))
            builder.store(mask, self.pointer(place, I64), align=8)


def _tile(shape: Shape, candidates: int, usable: bool) -> Value:
    """Intrinsic `tile(block, query, stride, steps, thresholds, out) -> uint64`.

    All arguments are int64: addresses (block and out aligned to 64 bytes), the bytes from one candidate to the next,
    and the number of 4-byte steps along the width. Not `usable` = the CPU lacks the instruction: the code is empty.
    """
    signature = types.uint64(*[types.int64] * 6)

    def emit(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        if not usable:
            return ir.Constant(I64, 0)
        block, query, stride, steps, thresholds, out = arguments
        emitter = _Emitter(builder, shape, candidates)
        totals = emitter.product(block, query, stride, steps)
        masks = emitter.masks(totals, thresholds)
        found = masks[0]
        for mask in masks[1:]:
            found = builder.or_(found, mask)
        with builder.if_then(builder.icmp_unsigned("!=", found, ir.Constant(I64, 0))):
            emitter.write(totals, masks, out)
        return found

    @intrinsic
    def tile(  # noqa: PLR0917 - numba passes positions
        _typing: Value, block: Value, query: Value, stride: Value, steps: Value, thresholds: Value, out: Value
    ) -> Value:
        return signature, emit

    return tile


@intrinsic
def _lowest_bit(_typing: Value, _mask: Value) -> tuple[Value, Callable[..., Value]]:
    """Index of the lowest set bit of a non-zero uint64."""

    def emit(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), emit


lowest_bit: Any = _lowest_bit
tile_int8_many = _tile(INT8, CANDIDATES, HAS_VNNI)
tile_int8_one = _tile(INT8, 1, HAS_VNNI)
tile_float32_many = _tile(FLOAT32, CANDIDATES, True)
tile_float32_one = _tile(FLOAT32, 1, True)
