"""Reading memory by address: where an array would have to be made for each of many small looks."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Value = Any  # llvmlite's types, values and builders carry no annotations


def _reader(bits: Value, kind: Value, size: int) -> Any:  # noqa: ANN401
    """Intrinsic `read(address)` for one type of `size` bytes."""

    def emit(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        return builder.load(builder.inttoptr(arguments[0], bits.as_pointer()), align=size)

    @intrinsic
    def read(_typing: Value, _address: Value) -> tuple[Value, Callable[..., Value]]:
        return kind(types.int64), emit

    return read


uint32_at: Any = _reader(ir.IntType(32), types.uint32, 4)
uint64_at: Any = _reader(ir.IntType(64), types.uint64, 8)
float32_at: Any = _reader(ir.FloatType(), types.float32, 4)
