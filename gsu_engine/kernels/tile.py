"""The inner tile: some candidates against one block of rows, scored and compared in vector registers.

LLVM vector code is emitted directly, so that sums stay in registers whatever the compiler's loop vectoriser thinks. Two
forms, one answer (dot products of int8 vectors are integers below 2^24 at d <= 1 040, exact either way):

- `int8`: AVX-512 VNNI `vpdpbusd`, 64 multiply-adds per instruction. It multiplies unsigned by signed: rows are stored
  with +128, and a sum starts at -128 x sum(candidate), which takes that off again. Block: `uint8 [d/4][ROWS][4]`.
- `float32`: any CPU; `llvm.fmuladd` becomes a fused multiply-add where there is one. Block: `float32 [d][ROWS]`.

A tile multiplies each sum by its row's inverse norm, in float32 and rounded once, as the definition has it, and
compares with a limit per candidate. It returns 0 when nothing is above: then nothing was written. Else it has
written all products `float32 [candidates][ROWS]` and, behind them, one 64-bit mask per candidate (bit r = row r is
above). Inverse norms must be numbers; a lane that is nobody's has 0 there, and may come out above a negative limit.

While it reads a block, a tile asks for the bytes `ahead` of it: blocks are often read from the newest to the oldest,
against the order that a CPU foresees.

Registers: `candidates x vectors` sums + `vectors` loads + 1 broadcast must fit: 6 x 4 of AVX-512's 32, 6 x 2 of AVX2's
and SSE's 16, 6 x 4 of NEON's 32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from muse_stream.gsu_engine.kernels.jit import config

I8, I32, I64 = (ir.IntType(bits) for bits in (8, 32, 64))
F32 = ir.FloatType()
Value = Any  # llvmlite's types, values and builders carry no annotations
external: Any = cgutils.get_or_insert_function
CANDIDATES = 6
CACHE_LINE = 64
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
        self.floats = ir.VectorType(F32, shape.lanes)
        self.bytes = ir.VectorType(I8, 4 * shape.lanes)
        self.vector_bytes = 4 * shape.lanes

    def load(self, base: Value, offset: int, kind: Value, align: int) -> Value:
        """What lies `offset` bytes behind an address."""
        place = self.builder.add(base, ir.Constant(I64, offset))
        return self.builder.load(self.builder.inttoptr(place, kind.as_pointer()), align=align)

    def store(self, value: Value, base: Value, offset: int, align: int) -> None:
        place = self.builder.add(base, ir.Constant(I64, offset))
        self.builder.store(value, self.builder.inttoptr(place, value.type.as_pointer()), align=align)

    def broadcast(self, scalar: Value) -> Value:
        undefined = ir.Constant(ir.VectorType(scalar.type, self.shape.lanes), ir.Undefined)
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

    def step(
        self, totals: list[list[Value]], block: Value, ahead: Value, queries: list[Value], at: Value
    ) -> list[list[Value]]:
        """One 4-byte step along the width for all candidates and vectors of the block."""
        base = self.builder.add(block, self.builder.mul(at, ir.Constant(I64, 4 * self.shape.rows)))
        size = self.vector_bytes
        for offset in range(0, 4 * self.shape.rows, CACHE_LINE):
            self.prefetch(self.builder.add(self.builder.add(base, ahead), ir.Constant(I64, offset)))
        rows = [self.load(base, size * vector, self.vector, size) for vector in range(self.shape.vectors)]
        offset = self.builder.mul(at, ir.Constant(I64, 4))
        after = []
        for candidate, query in enumerate(queries):
            value = self.broadcast(self.load(self.builder.add(query, offset), 0, self.scalar, 4))
            after.append([self.multiply_add(totals[candidate][v], row, value) for v, row in enumerate(rows)])
        return after

    def first_sums(self, biases: Value) -> list[Value]:
        """Per candidate the vector that its sums start at."""
        if not self.shape.integer:
            return [ir.Constant(self.vector, [0.0] * self.shape.lanes)] * self.candidates
        return [self.broadcast(self.load(biases, 4 * c, I32, 4)) for c in range(self.candidates)]

    def prefetch(self, address: Value) -> None:
        """Ask for a cache line that will be read soon."""
        pointer = ir.PointerType(I8)
        kind = ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32])
        function = external(self.builder.module, kind, "llvm.prefetch.p0")
        read, keep, data = (ir.Constant(I32, value) for value in (0, 3, 1))
        self.builder.call(function, [self.builder.inttoptr(address, pointer), read, keep, data])

    def sums(  # noqa: PLR0917 - as the tile's arguments
        self, block: Value, ahead: Value, query: Value, stride: Value, steps: Value, first: list[Value]
    ) -> list[list[Value]]:
        """The loop over the width; returns the sums `[candidates][vectors]`."""
        builder = self.builder
        queries = [builder.add(query, builder.mul(stride, ir.Constant(I64, c))) for c in range(self.candidates)]
        before = builder.block
        loop, done = builder.append_basic_block("width"), builder.append_basic_block("summed")
        builder.branch(loop)
        builder.position_at_end(loop)
        at = builder.phi(I64)
        at.add_incoming(ir.Constant(I64, 0), before)
        phis = [[builder.phi(self.vector) for _ in range(self.shape.vectors)] for _ in range(self.candidates)]
        totals = phis
        for unrolled in range(UNROLL):
            totals = self.step(totals, block, ahead, queries, builder.add(at, ir.Constant(I64, unrolled)))
        following = builder.add(at, ir.Constant(I64, UNROLL))
        at.add_incoming(following, loop)
        for candidate in range(self.candidates):
            for phi, value in zip(phis[candidate], totals[candidate], strict=True):
                phi.add_incoming(first[candidate], before)
                phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, steps), loop, done)
        builder.position_at_end(done)
        return totals

    def products(self, totals: list[list[Value]], inv_norms: Value) -> list[list[Value]]:
        """The sums times their rows' inverse norms."""
        size = self.vector_bytes
        norms = [self.load(inv_norms, size * v, self.floats, 4) for v in range(self.shape.vectors)]
        return [
            [
                self.builder.fmul(self.builder.sitofp(total, self.floats) if self.shape.integer else total, norm)
                for total, norm in zip(vectors, norms, strict=True)
            ]
            for vectors in totals
        ]

    def largest(self, first: Value, second: Value) -> Value:
        """Lane by lane; without NaN this is one instruction."""
        return self.builder.select(self.builder.fcmp_ordered(">", first, second), first, second)

    def any_above(self, products: list[list[Value]], limits: Value) -> Value:
        """Whether any product of any candidate is above its limit: fewer compares than a mask for each takes."""
        builder, found = self.builder, ir.Constant(ir.IntType(self.shape.lanes), 0)
        for candidate, vectors in enumerate(products):
            limit = self.broadcast(self.load(limits, 4 * candidate, F32, 4))
            above = builder.fcmp_ordered(">", reduce(self.largest, vectors), limit)
            found = builder.or_(found, builder.bitcast(above, ir.IntType(self.shape.lanes)))
        return builder.icmp_unsigned("!=", found, ir.Constant(ir.IntType(self.shape.lanes), 0))

    def masks(self, products: list[list[Value]], limits: Value) -> list[Value]:
        """Per candidate a 64-bit mask of the rows above its limit."""
        builder, result = self.builder, []
        for candidate, vectors in enumerate(products):
            limit = self.broadcast(self.load(limits, 4 * candidate, F32, 4))
            mask = ir.Constant(I64, 0)
            for v, product in enumerate(vectors):
                bits = builder.bitcast(builder.fcmp_ordered(">", product, limit), ir.IntType(self.shape.lanes))
                mask = builder.or_(mask, builder.shl(builder.zext(bits, I64), ir.Constant(I64, v * self.shape.lanes)))
            result.append(mask)
        return result

    def write(self, products: list[list[Value]], masks: list[Value], out: Value) -> None:
        """Products, then masks."""
        size = self.vector_bytes
        for candidate, vectors in enumerate(products):
            for v, product in enumerate(vectors):
                self.store(product, out, (candidate * self.shape.vectors + v) * size, size)
        for candidate, mask in enumerate(masks):
            self.store(mask, out, self.candidates * self.shape.vectors * size + 8 * candidate, 8)


def _tile(shape: Shape, candidates: int, usable: bool) -> Value:
    """Intrinsic `tile(block, ahead, query, stride, steps, biases, inv_norms, limits, out) -> uint64`, 0 or 1.

    All arguments are int64: addresses (block and out aligned to 64 bytes), bytes from the block to the next one, from
    one candidate to the next, and the number of 4-byte steps along the width. Not `usable` = the CPU lacks the
    instruction: the code is empty.
    """
    signature = types.uint64(*[types.int64] * 9)

    def emit(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        if not usable:
            return ir.Constant(I64, 0)
        block, ahead, query, stride, steps, biases, inv_norms, limits, out = arguments
        emitter = _Emitter(builder, shape, candidates)
        totals = emitter.sums(block, ahead, query, stride, steps, emitter.first_sums(biases))
        products = emitter.products(totals, inv_norms)
        found = emitter.any_above(products, limits)
        with builder.if_then(found):
            emitter.write(products, emitter.masks(products, limits), out)
        return builder.zext(found, I64)

    @intrinsic
    def tile(  # noqa: PLR0917 - numba passes positions
        _typing: Value,
        block: Value,
        ahead: Value,
        query: Value,
        stride: Value,
        steps: Value,
        biases: Value,
        inv_norms: Value,
        limits: Value,
        out: Value,
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
