"""Rows gathered from anywhere, turned into the columns of a block: how blocks are packed.

Element by element this is a load and a store for each four bytes, and costs more than the product with ten candidates.
In registers a square of words (16 x 16 with AVX-512) takes a few rounds of two-operand shuffles: in each, blocks of
8, 4, 2 and 1 words change sides. A word is four int8 of one row; the int8 forms take it as it is but for +128 on each
byte, for the float32 form it becomes four columns.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from muse_stream.gsu_engine.kernels.emitter import F32, I32, I64
from muse_stream.gsu_engine.kernels.forms import Form, Value, form_of

PLUS_128 = 0x80808080  # on each byte


class _Square:
    """Writes the code for one square of words."""

    def __init__(self, builder: Value, form: Form) -> None:
        self.builder, self.form, self.lanes = builder, form, range(form.lanes)
        self.vector = ir.VectorType(I32, form.lanes)
        self.floats = ir.VectorType(F32, form.lanes)

    def address(self, base: Value, offset: Value, kind: Value) -> Value:
        return self.builder.inttoptr(self.builder.add(base, offset), kind.as_pointer())

    def read(self, rows: Value, numbers: Value, width: Value) -> list[Value]:
        """One vector per row."""
        vectors = []
        for lane in self.lanes:
            number = self.builder.load(self.address(numbers, ir.Constant(I64, 4 * lane), I32), align=4)
            offset = self.builder.mul(self.builder.zext(number, I64), width)
            vectors.append(self.builder.load(self.address(rows, offset, self.vector), align=4))
        return vectors

    def exchange(self, vectors: list[Value], distance: int) -> None:
        """Swap the off-diagonal blocks of `distance` words between vectors that lie `distance` apart."""
        count = len(self.lanes)
        upper = [lane if not lane & distance else count + lane - distance for lane in self.lanes]
        lower = [lane + distance if not lane & distance else count + lane for lane in self.lanes]
        for first in (lane for lane in self.lanes if not lane & distance):
            pair = vectors[first], vectors[first + distance]
            for place, choice in ((first, upper), (first + distance, lower)):
                vectors[place] = self.builder.shuffle_vector(*pair, ir.Constant(self.vector, choice))

    def columns(self, word: Value) -> list[Value]:
        """What the tile reads for one word per row: itself, or four vectors of floats."""
        if self.form.integer:
            return [self.builder.xor(word, ir.Constant(self.vector, [PLUS_128] * self.form.lanes))]
        return [self.builder.sitofp(self._byte(word, number), self.floats) for number in range(4)]

    def _byte(self, word: Value, number: int) -> Value:
        """Byte `number` of each word, with its sign."""
        up = ir.Constant(self.vector, [24 - 8 * number] * self.form.lanes)
        down = ir.Constant(self.vector, [24] * self.form.lanes)
        return self.builder.ashr(self.builder.shl(word, up), down)

    def write(self, vectors: list[Value], out: Value) -> None:
        """Columns, one every `4 * rows of a block` bytes."""
        columns = [column for word in vectors for column in self.columns(word)]
        for number, column in enumerate(columns):
            place = self.address(out, ir.Constant(I64, 4 * self.form.rows * number), column.type)
            self.builder.store(column, place, align=4 * self.form.lanes)


@intrinsic
def _transpose(
    _typing: Value, marker: Value, _rows: Value, _numbers: Value, _width: Value, _out: Value
) -> tuple[Value, Callable[..., Value]]:
    """Intrinsic `transpose(marker, rows, numbers, width, out)`, int64 but for the first.

    Rows `numbers[0:lanes]` (uint32) of a matrix whose `4 * lanes` bytes in question begin at address `rows` in row 0
    and `width` bytes further in each next one; written to a block at `out`.
    """

    def emit(_context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        form = form_of(signature.args[0])
        _, rows, numbers, width, out = arguments
        square = _Square(builder, form)
        vectors = square.read(rows, numbers, width)
        distance = form.lanes // 2
        while distance:
            square.exchange(vectors, distance)
            distance //= 2
        square.write(vectors, out)
        return ir.Constant(I64, 0)

    return types.int64(marker, *[types.int64] * 4), emit


transpose: Any = _transpose
