"""Writing vector code: what the tile and the selection of its hits need of LLVM.

Vector code is emitted directly, so that sums stay in registers whatever the compiler's loop vectoriser thinks.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from muse_stream.gsu_engine.kernels.forms import Form, Value

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F32 = ir.FloatType()
LANE_BYTES = 4
external: Any = cgutils.get_or_insert_function


class Emitter:
    """Vectors of a form's lanes; addresses are int64."""

    def __init__(self, builder: Value, form: Form) -> None:
        self.builder, self.form, self.lanes = builder, form, form.lanes
        self.integers = ir.VectorType(I32, form.lanes)
        self.floats = ir.VectorType(F32, form.lanes)
        self.vector_bytes = LANE_BYTES * form.lanes

    def load(self, base: Value, offset: int, kind: Value, align: int = LANE_BYTES) -> Value:
        """What lies `offset` bytes behind an address."""
        return self.builder.load(self._pointer(base, offset, kind), align=align)

    def store(self, value: Value, base: Value, offset: int = 0, align: int = LANE_BYTES) -> None:
        """Write to `offset` bytes behind an address."""
        self.builder.store(value, self._pointer(base, offset, value.type), align=align)

    def _pointer(self, base: Value, offset: int, kind: Value) -> Value:
        place = self.builder.add(base, ir.Constant(I64, offset)) if offset else base
        return self.builder.inttoptr(place, kind.as_pointer())

    def broadcast(self, scalar: Value) -> Value:
        """A vector with the same number in all lanes."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        lanes = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def broadcast_at(self, base: Value, offset: int, kind: Value) -> Value:
        """The same of a number in memory."""
        return self.broadcast(self.load(base, offset, kind))

    def bits(self, mask: Value) -> Value:
        """A mask as an integer, one bit per lane."""
        return self.builder.bitcast(mask, ir.IntType(self.lanes))

    def count(self, mask: Value) -> Value:
        """How many lanes are set, int64."""
        kind = ir.IntType(self.lanes)
        function = external(self.builder.module, ir.FunctionType(kind, [kind]), f"llvm.ctpop.i{self.lanes}")
        return self.builder.zext(self.builder.call(function, [self.bits(mask)]), I64)

    def compress(self, vector: Value, mask: Value) -> Value:
        """The lanes that are set, moved together to the front; what follows is anything."""
        kind = vector.type
        scalar = "f32" if kind == self.floats else "i32"
        name = f"llvm.experimental.vector.compress.v{self.lanes}{scalar}"
        function = external(
            self.builder.module, ir.FunctionType(kind, [kind, ir.VectorType(I1, self.lanes), kind]), name
        )
        return self.builder.call(function, [vector, mask, ir.Constant(kind, ir.Undefined)])

    def bytes_to(self, base: Value, count: Value) -> Value:
        """Address of lane `count` of an array of 32-bit numbers."""
        return self.builder.add(base, self.builder.shl(count, ir.Constant(I64, 2)))
