"""16 rows of 64 bytes, gathered from anywhere, turned into 16 columns of 16 words: how a block for VNNI is packed.

Word by word this is a load and a store for each four bytes, and costs more than the product with ten candidates. In
registers it is four rounds of two-operand shuffles: round by round, blocks of 8, 4, 2 and 1 words change sides.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from muse_stream.gsu_engine.kernels.tile import HAS_VNNI, I32, I64, INT8, Value

LANES = 16
VECTOR = ir.VectorType(I32, LANES)
BIAS = ir.Constant(VECTOR, [0x80808080] * LANES)  # +128 on each byte
COLUMN_BYTES = 4 * INT8.rows


def _exchange(builder: Value, vectors: list[Value], distance: int) -> None:
    """Swap the off-diagonal blocks of `distance` words between vectors that lie `distance` apart."""
    lanes = range(LANES)
    upper = [lane if not lane & distance else LANES + lane - distance for lane in lanes]
    lower = [lane + distance if not lane & distance else LANES + lane for lane in lanes]
    for first in (number for number in lanes if not number & distance):
        pair = vectors[first], vectors[first + distance]
        for place, choice in ((first, upper), (first + distance, lower)):
            vectors[place] = builder.shuffle_vector(*pair, ir.Constant(VECTOR, choice))


def _emit(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
    if not HAS_VNNI:
        return ir.Constant(I64, 0)
    rows, numbers, width, out = arguments
    vectors = []
    for lane in range(LANES):
        place = builder.inttoptr(builder.add(numbers, ir.Constant(I64, 4 * lane)), I32.as_pointer())
        row = builder.zext(builder.load(place, align=4), I64)
        address = builder.inttoptr(builder.add(rows, builder.mul(row, width)), VECTOR.as_pointer())
        vectors.append(builder.load(address, align=4))
    for distance in (8, 4, 2, 1):
        _exchange(builder, vectors, distance)
    for column, vector in enumerate(vectors):
        address = builder.inttoptr(builder.add(out, ir.Constant(I64, COLUMN_BYTES * column)), VECTOR.as_pointer())
        builder.store(builder.xor(vector, BIAS), address, align=64)
    return ir.Constant(I64, 0)


@intrinsic
def _transpose(_typing: Value, _rows: Value, _numbers: Value, _width: Value, _out: Value) -> Value:
    """`transpose(rows, numbers, width, out)`, all int64.

    Rows `numbers[0:16]` (uint32) of a matrix whose 64 bytes in question begin at address `rows` in row 0 and `width`
    bytes further in each next one; written to a block at `out`, one column of 16 words every `COLUMN_BYTES`.
    """
    return types.int64(types.int64, types.int64, types.int64, types.int64), _emit


transpose: Any = _transpose
