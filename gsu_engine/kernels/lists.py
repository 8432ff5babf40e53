"""Passes over a list of scores in vector registers: counting, and keeping what reaches a score.

A list is scores `float32` and, apart from them, indices `uint32`, both with room for one more vector than is in use.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from muse_stream.gsu_engine.kernels.emitter import I64, Emitter
from muse_stream.gsu_engine.kernels.forms import Value, form_of


class _Pass(Emitter):
    """Writes a loop over a list, a vector at a time."""

    def loop(self, count: Value, body: Callable[[Value, Value], Value]) -> Value:
        """Run `body(first lane, result so far) -> result`, int64, from 0 on."""
        builder = self.builder
        before, start = builder.block, builder.append_basic_block("vector")
        done = builder.append_basic_block("passed")
        builder.branch(start)
        builder.position_at_end(start)
        first, result = builder.phi(I64), builder.phi(I64)
        after = body(first, result)
        following = builder.add(first, ir.Constant(I64, self.lanes))
        for phi, value in ((first, following), (result, after)):
            phi.add_incoming(ir.Constant(I64, 0), before)
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, count), start, done)
        builder.position_at_end(done)
        return after

    def reaching(self, scores: Value, first: Value, score: Value) -> tuple[Value, Value]:
        """A vector of the list, and which of its lanes are at least `score`."""
        vector = self.load(self.bytes_to(scores, first), 0, self.floats)
        return vector, self.builder.fcmp_ordered(">=", vector, score)

    def larger(self, keys: Value, count: Value, own: Value) -> Value:
        """Per lane how many of the keys are larger."""
        builder, none = self.builder, ir.Constant(own.type, [0] * self.lanes)
        before, start = builder.block, builder.append_basic_block("key")
        done = builder.append_basic_block("ranked")
        builder.branch(start)
        builder.position_at_end(start)
        at, ranks = builder.phi(I64), builder.phi(own.type)
        key = self.broadcast_at(builder.add(keys, builder.shl(at, ir.Constant(I64, 3))), 0, I64)
        after = builder.sub(ranks, builder.sext(builder.icmp_unsigned(">", key, own), own.type))
        following = builder.add(at, ir.Constant(I64, 1))
        for phi, first, value in ((at, ir.Constant(I64, 0), following), (ranks, none, after)):
            phi.add_incoming(first, before)
            phi.add_incoming(value, start)
        builder.cbranch(builder.icmp_signed("<", following, count), start, done)
        builder.position_at_end(done)
        return after

    def seal(self, scores: Value, count: Value) -> None:
        """Behind the last score of a list comes -infinity."""
        nothing = ir.Constant(self.floats, [float("-inf")] * self.lanes)
        self.store(nothing, self.bytes_to(scores, count))


@intrinsic
def _seal(_typing: Value, marker: Value, _scores: Value, _count: Value) -> tuple[Value, Callable[..., Value]]:
    """Write -infinity behind the `count` scores of a list: the passes below read whole vectors."""

    def emit(_context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        _Pass(builder, form_of(signature.args[0])).seal(*arguments[1:])
        return ir.Constant(I64, 0)

    return types.int64(marker, types.int64, types.int64), emit


@intrinsic
def _reach(
    _typing: Value, marker: Value, _scores: Value, _count: Value, _score: Value
) -> tuple[Value, Callable[..., Value]]:
    """How many scores of a sealed list are at least `score`."""

    def emit(_context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        writer = _Pass(builder, form_of(signature.args[0]))
        _, scores, count, score = arguments
        least = writer.broadcast(score)

        def body(first: Value, reached: Value) -> Value:
            return builder.add(reached, writer.count(writer.reaching(scores, first, least)[1]))

        return writer.loop(count, body)

    return types.int64(marker, types.int64, types.int64, types.float32), emit


@intrinsic
def _keep(
    _typing: Value, marker: Value, _scores: Value, _indices: Value, _count: Value, _score: Value
) -> tuple[Value, Callable[..., Value]]:
    """Keep what is at least `score`, in its order; returns how many. The list is sealed, and not any more after."""

    def emit(_context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        writer = _Pass(builder, form_of(signature.args[0]))
        _, scores, indices, count, score = arguments
        least = writer.broadcast(score)

        def body(first: Value, kept: Value) -> Value:
            vector, mask = writer.reaching(scores, first, least)
            numbers = writer.load(writer.bytes_to(indices, first), 0, writer.integers)
            for base, values in ((scores, vector), (indices, numbers)):
                writer.store(writer.compress(values, mask), writer.bytes_to(base, kept))
            return builder.add(kept, writer.count(mask))

        return writer.loop(count, body)

    return types.int64(marker, *[types.int64] * 3, types.float32), emit


@intrinsic
def _rank(
    _typing: Value, marker: Value, _keys: Value, _count: Value, _ranks: Value
) -> tuple[Value, Callable[..., Value]]:
    """Of each of `count` keys how many are larger: `ranks`, int64, which has room for a vector more, as has `keys`."""

    def emit(_context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        writer = _Pass(builder, form_of(signature.args[0]))
        _, keys, count, ranks = arguments
        halves = ir.VectorType(I64, writer.lanes)  # twice as wide as a register: two vectors per round

        def body(first: Value, result: Value) -> Value:
            offset = builder.shl(first, ir.Constant(I64, 3))
            own = writer.load(builder.add(keys, offset), 0, halves, 8)
            writer.store(writer.larger(keys, count, own), builder.add(ranks, offset), align=8)
            return result

        return writer.loop(count, body)

    return types.int64(marker, *[types.int64] * 3), emit


seal: Any = _seal
rank: Any = _rank
reach: Any = _reach
keep: Any = _keep
__all__ = ["keep", "rank", "reach", "seal"]
