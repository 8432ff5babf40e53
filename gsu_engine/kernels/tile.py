"""The inner tile: some candidates against one block of rows, scored, compared and kept in vector registers.

A tile sums the products (see `kernels.forms`), multiplies each sum by its row's inverse norm, in float32 and rounded
once as the definition has it, and compares with a limit per candidate. Mostly nothing is above: then nothing is written
and it returns 0. Else the rows above the limit that lie in the window, and are not the one that the candidate excludes,
are appended to the candidate's list, scores and indices apart, without a branch for each: vectors are compressed and
stored whole, so a list needs room for `ROWS` more than it may ever hold. It returns the length of the longest list.

Inverse norms must be numbers; a lane that is nobody's has 0 there, and a place outside every window.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from muse_stream.gsu_engine.kernels.emitter import F32, I8, I16, I32, I64, Emitter, external
from muse_stream.gsu_engine.kernels.forms import CANDIDATES, SOME, WORD_BYTES, Form, Value, form_of

UNROLL = 4  # steps per loop: d is a multiple of 64, so d / 4 is one of 4
VNNI_TAKES_BYTES_FROM = 22  # LLVM release from which the operands of vpdpbusd are bytes, before it int32


class Arguments(NamedTuple):
    """What a tile takes, all int64, addresses but for the numbers that are named so."""

    block: Value  # aligned to a cache line
    norms: Value  # of the block's rows
    places: Value
    slots: Value
    shift: Value  # number: place + shift = index in the window
    length: Value  # number: rows of the window
    query: Value  # the first candidate's vector, in the form's cells
    query_bytes: Value  # number: from one candidate to the next
    steps: Value  # number: 4-byte steps along the width
    biases: Value  # what each candidate's sums start at; int8 forms only
    limits: Value
    candidate_norms: Value
    excluded: Value  # slots
    scores: Value  # the first candidate's list
    indices: Value  # likewise
    list_bytes: Value  # number: from one list to the next
    counts: Value  # int64, lengths of the lists


class _Tile(Emitter):
    """Writes one tile's code."""

    def __init__(self, builder: Value, form: Form, candidates: int, arguments: Arguments) -> None:
        super().__init__(builder, form)
        self.candidates, self.at = candidates, arguments
        self.scalar = I32 if form.integer else F32
        self.vector = self.integers if form.integer else self.floats

    def multiply_add(self, total: Value, row: Value, query: Value) -> Value:
        """`total + row * query`; of bytes, four products per lane."""
        module, lanes = self.builder.module, self.lanes
        if not self.form.integer:
            function = external(module, ir.FunctionType(self.vector, [self.vector] * 3), f"llvm.fmuladd.v{lanes}f32")
            return self.builder.call(function, [row, query, total])
        if self.form.instruction == "vpmaddwd":
            pairs = [self.multiply_pairs(*halves) for halves in zip(row, query, strict=True)]
            return reduce(self.builder.add, pairs, total)
        takes_bytes = binding.llvm_version_info[0] >= VNNI_TAKES_BYTES_FROM
        packed = ir.VectorType(I8, WORD_BYTES * lanes) if takes_bytes else self.vector
        kind = ir.FunctionType(self.vector, [self.vector, packed, packed])
        function = external(module, kind, f"llvm.x86.avx512.vpdpbusd.{32 * lanes}")
        return self.builder.call(
            function, [total, self.builder.bitcast(row, packed), self.builder.bitcast(query, packed)]
        )

    def multiply_pairs(self, first: Value, second: Value) -> Value:
        """Products of int16, summed by twos."""
        shorts = first.type
        function = external(
            self.builder.module, ir.FunctionType(self.vector, [shorts, shorts]), "llvm.x86.avx2.pmadd.wd"
        )
        return self.builder.call(function, [first, second])

    def halves(self, word: Value, *, signed: bool) -> Value:
        """A vector as the multiplication takes it; for `vpmaddwd` bytes 0 and 2 of each word, and 1 and 3, as int16."""
        if self.form.instruction != "vpmaddwd":
            return word
        shorts = ir.VectorType(I16, 2 * self.lanes)
        byte = ir.Constant(shorts, [8] * 2 * self.lanes)
        word = self.builder.bitcast(word, shorts)
        shift = self.builder.ashr if signed else self.builder.lshr
        return shift(self.builder.shl(word, byte), byte), shift(word, byte)

    def step(self, totals: list[list[Value]], queries: list[Value], number: Value) -> list[list[Value]]:
        """One 4-byte step along the width for all candidates and vectors of the block."""
        base = self.builder.add(self.at.block, self.builder.mul(number, ir.Constant(I64, WORD_BYTES * self.form.rows)))
        size = self.vector_bytes
        rows = [
            self.halves(self.load(base, size * vector, self.vector, size), signed=False)
            for vector in range(self.form.vectors)
        ]
        offset = self.builder.mul(number, ir.Constant(I64, WORD_BYTES))
        after = []
        for candidate, query in enumerate(queries):
            value = self.halves(self.broadcast_at(self.builder.add(query, offset), 0, self.scalar), signed=True)
            after.append([self.multiply_add(totals[candidate][v], row, value) for v, row in enumerate(rows)])
        return after

    def first_sums(self) -> list[Value]:
        """Per candidate the vector that its sums start at."""
        if not self.form.integer:
            return [ir.Constant(self.vector, [0.0] * self.lanes)] * self.candidates
        return [self.broadcast_at(self.at.biases, WORD_BYTES * c, I32) for c in range(self.candidates)]

    def sums(self) -> list[list[Value]]:
        """The loop over the width; returns the sums `[candidates][vectors]`."""
        builder, first = self.builder, self.first_sums()
        strides = [builder.mul(self.at.query_bytes, ir.Constant(I64, c)) for c in range(self.candidates)]
        queries = [builder.add(self.at.query, stride) for stride in strides]
        before = builder.block
        loop, done = builder.append_basic_block("width"), builder.append_basic_block("summed")
        builder.branch(loop)
        builder.position_at_end(loop)
        number = builder.phi(I64)
        number.add_incoming(ir.Constant(I64, 0), before)
        phis = [[builder.phi(self.vector) for _ in range(self.form.vectors)] for _ in range(self.candidates)]
        totals = phis
        for unrolled in range(UNROLL):
            totals = self.step(totals, queries, builder.add(number, ir.Constant(I64, unrolled)))
        following = builder.add(number, ir.Constant(I64, UNROLL))
        number.add_incoming(following, loop)
        for candidate in range(self.candidates):
            for phi, value in zip(phis[candidate], totals[candidate], strict=True):
                phi.add_incoming(first[candidate], before)
                phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.at.steps), loop, done)
        builder.position_at_end(done)
        return totals

    def products(self, totals: list[list[Value]]) -> list[list[Value]]:
        """The sums times their rows' inverse norms."""
        norms = [self.load(self.at.norms, self.vector_bytes * v, self.floats) for v in range(self.form.vectors)]
        return [
            [
                self.builder.fmul(self.builder.sitofp(total, self.floats) if self.form.integer else total, norm)
                for total, norm in zip(vectors, norms, strict=True)
            ]
            for vectors in totals
        ]

    def largest(self, first: Value, second: Value) -> Value:
        """Lane by lane; without NaN this is one instruction."""
        return self.builder.select(self.builder.fcmp_ordered(">", first, second), first, second)

    def any_above(self, products: list[list[Value]]) -> Value:
        """Whether any product of any candidate is above its limit: fewer compares than a mask for each takes."""
        builder, found = self.builder, ir.Constant(ir.IntType(self.lanes), 0)
        for candidate, vectors in enumerate(products):
            limit = self.broadcast_at(self.at.limits, 4 * candidate, F32)
            above = builder.fcmp_ordered(">", reduce(self.largest, vectors), limit)
            found = builder.or_(found, self.bits(above))
        return builder.icmp_unsigned("!=", found, ir.Constant(ir.IntType(self.lanes), 0))

    def numbers_at(self, base: Value) -> list[Value]:
        """The block's int32 numbers at an address."""
        return [self.load(base, self.vector_bytes * v, self.integers) for v in range(self.form.vectors)]

    def append(self, products: list[list[Value]]) -> Value:
        """Add what is above to the lists; returns the length of the longest, int64."""
        builder = self.builder
        shift, length = (self.broadcast(builder.trunc(number, I32)) for number in (self.at.shift, self.at.length))
        indices = [builder.add(places, shift) for places in self.numbers_at(self.at.places)]
        for candidate, vectors in enumerate(products):
            limit = self.broadcast_at(self.at.limits, 4 * candidate, F32)
            above = [builder.fcmp_ordered(">", product, limit) for product in vectors]
            found = reduce(builder.or_, map(self.bits, above))
            with builder.if_then(builder.icmp_unsigned("!=", found, ir.Constant(found.type, 0))):
                self.append_one(candidate, vectors, above, indices, length)
        counts = [self.load(self.at.counts, 8 * candidate, I64, 8) for candidate in range(self.candidates)]
        return reduce(lambda a, b: builder.select(builder.icmp_signed(">", a, b), a, b), counts)

    def append_one(
        self, candidate: int, products: list[Value], above: list[Value], indices: list[Value], length: Value
    ) -> None:
        """The same for one candidate."""
        builder = self.builder
        norm = self.broadcast_at(self.at.candidate_norms, 4 * candidate, F32)
        offset = builder.mul(self.at.list_bytes, ir.Constant(I64, candidate))
        lists = builder.add(self.at.scores, offset), builder.add(self.at.indices, offset)
        count = self.load(self.at.counts, 8 * candidate, I64, 8)
        inside = [
            builder.and_(mask, builder.icmp_unsigned("<", index, length))
            for mask, index in zip(above, indices, strict=True)
        ]
        for product, index, mask in zip(products, indices, self.without_excluded(candidate, inside), strict=True):
            for base, values in zip(lists, (builder.fmul(product, norm), index), strict=True):
                self.store(self.compress(values, mask), self.bytes_to(base, count))
            count = builder.add(count, self.count(mask))
        self.store(count, self.at.counts, 8 * candidate, 8)

    def without_excluded(self, candidate: int, masks: list[Value]) -> list[Value]:
        """Less the rows of the slot that the candidate excludes; slots are read where there is one."""
        builder = self.builder
        excluded = self.load(self.at.excluded, 4 * candidate, I32)
        before = builder.block
        with builder.if_then(builder.icmp_unsigned("!=", excluded, ir.Constant(I32, 0))):
            barred = self.broadcast(excluded)
            others = [builder.icmp_unsigned("!=", slots, barred) for slots in self.numbers_at(self.at.slots)]
            kept = [builder.and_(mask, other) for mask, other in zip(masks, others, strict=True)]
            looked = builder.block
        result = [builder.phi(mask.type) for mask in masks]
        for phi, mask, less in zip(result, masks, kept, strict=True):
            phi.add_incoming(mask, before)
            phi.add_incoming(less, looked)
        return result

    def write(self) -> Value:
        """All of it."""
        builder = self.builder
        products = self.products(self.sums())
        found = self.any_above(products)
        before = builder.block
        with builder.if_then(found):
            longest = self.append(products)
            appended = builder.block
        result = builder.phi(I64)
        result.add_incoming(ir.Constant(I64, 0), before)
        result.add_incoming(longest, appended)
        return result


def _tile(candidates: int) -> Any:  # noqa: ANN401
    """Intrinsic `tile(marker, *Arguments) -> int64` for so many candidates."""

    def emit(_context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return _Tile(builder, form_of(signature.args[0]), candidates, Arguments(*arguments[1:])).write()

    @intrinsic
    def tile(  # noqa: PLR0917 - numba passes positions
        _typing: Value,
        marker: Value,
        block: Value,
        norms: Value,
        places: Value,
        slots: Value,
        shift: Value,
        length: Value,
        query: Value,
        query_bytes: Value,
        steps: Value,
        biases: Value,
        limits: Value,
        candidate_norms: Value,
        excluded: Value,
        scores: Value,
        indices: Value,
        list_bytes: Value,
        counts: Value,
    ) -> tuple[Value, Callable[..., Value]]:
        return types.int64(marker, *[types.int64] * len(Arguments._fields)), emit

    return tile


tile_many = _tile(CANDIDATES)
tile_some = _tile(SOME)
tile_one = _tile(1)
