"""Memory by address: reading where an array would have to be made for each of many small looks, and asking ahead."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from muse_stream.gsu_engine.kernels.emitter import external
from muse_stream.gsu_engine.kernels.forms import Value


def _reader(bits: Value, kind: Value) -> Any:  # noqa: ANN401
    """Intrinsic `read(address)` for one type."""

    def emit(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        return builder.load(builder.inttoptr(arguments[0], bits.as_pointer()), align=1)

    @intrinsic
    def read(_typing: Value, _address: Value) -> tuple[Value, Callable[..., Value]]:
        return kind(types.int64), emit

    return read


@intrinsic
def _prefetch(_typing: Value, _address: Value) -> tuple[Value, Callable[..., Value]]:
    """Ask for the cache line at an address, which will be read soon."""

    def emit(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        number = ir.IntType(32)
        pointer = ir.PointerType(ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = external(builder.module, kind, "llvm.prefetch.p0")
        read, keep, data = (ir.Constant(number, value) for value in (0, 2, 1))
        builder.call(function, [builder.inttoptr(arguments[0], pointer), read, keep, data])
        return ir.Constant(ir.IntType(64), 0)

    return types.int64(types.int64), emit


prefetch: Any = _prefetch
uint32_at: Any = _reader(ir.IntType(32), types.uint32)
uint64_at: Any = _reader(ir.IntType(64), types.uint64)
