"""What this machine can do at most: int8 products per second, and bytes read per second.

The peak runs the CPU's own dot product of bytes (`vpdpbusd`) on registers alone, on all threads; a CPU without AVX-512
VNNI is measured with the fused multiply-add of float32. Reading runs over as many and as large blocks of memory as the
users' rows are, so that it finds them in the same caches. Best of several, since a limit is what nothing can pass.
"""

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from muse_stream.benchmarks.report import Row
from muse_stream.gsu_engine.arrays import reserve

Value = Any  # llvmlite's types, values and builders carry no annotations
alloca: Any = cgutils.alloca_once_value
I32 = ir.IntType(32)
CHAINS = 12  # sums that do not wait for each other, and fit into 16 registers
BEST_OF = 7
STEPS = 2_000_000  # of `CHAINS` instructions each: some 10 ms
READ_BYTES = 256 << 20  # per measurement and thread, some 10 ms
LARGE_BYTES, CACHE_BYTES = 512 << 20, 8 << 20  # larger than any cache, and well within the last one
VNNI_TAKES_BYTES_FROM = 22  # LLVM release from which the operands are <64 x i8>, before it <16 x i32>
HAS_VNNI = bool(binding.get_host_cpu_features().get("avx512vnni"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow(Row):
    """A limit of the machine, and which machine: CPU model, threads, day (UTC)."""

    cpu: str
    threads: int
    date: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Measured limits of this machine on some threads.

    Attributes:
        threads: Threads.
        products_per_second: Multiply-adds of two components.
        peak_name: The instruction that does them.
        load: Processes that ran on the machine in the minute before.

    """

    threads: int
    products_per_second: float
    peak_name: str
    load: float = 0.0

    @classmethod
    def measure(cls, threads: int) -> "Limits":
        """The peak; reading is measured for each size."""
        name = "int8 VNNI" if HAS_VNNI else "float32 multiply-add"
        lanes = 64 if HAS_VNNI else 8
        load = os.getloadavg()[0]
        seconds = _best_seconds(lambda _thread: _sum_all(STEPS), threads)
        return cls(threads, threads * STEPS * CHAINS * lanes / seconds, name, load)

    def limit_ms(self, length: int, candidates: int, dimension: int, bytes_per_second: float) -> float:
        """Least time of a search that reads every row once: the longer of computing and reading."""
        computing = length * candidates * dimension / self.products_per_second
        reading = length * (dimension + 4) / bytes_per_second
        return 1e3 * max(computing, reading)

    def rows(self) -> list[MachineRow]:
        """The machine's figures."""
        cpu, date = cpu_name(), datetime.now(UTC).date().isoformat()
        reads = {"memory": LARGE_BYTES, "the last-level cache": CACHE_BYTES}
        figures = {f"{self.peak_name} peak": (2 * self.products_per_second / 1e9, "GOP/s")}
        figures |= {"load at the start": (self.load, "processes")}
        figures |= {f"reading from {what}": (read(size, 1, self.threads) / 1e9, "GB/s") for what, size in reads.items()}
        return [
            MachineRow(f"machine: {case}", value, unit, cpu=cpu, threads=self.threads, date=date)
            for case, (value, unit) in figures.items()
        ]


def read(block_bytes: int, blocks: int, threads: int) -> float:
    """Bytes per second that `threads` read of so many blocks in turn, each thread its share of every block."""
    words = max(block_bytes // 8, 64 * threads)
    memory: NDArray[np.uint64] = reserve((blocks, words), np.uint64)
    memory[:] = 1
    rounds = max(READ_BYTES * threads // memory.nbytes, 1)
    share = words // threads
    seconds = _best_seconds(lambda thread: _read_all(memory, thread * share, (thread + 1) * share, rounds), threads)
    return rounds * blocks * share * threads * 8 / seconds


def cpu_name() -> str:
    """The CPU's model, as the operating system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def _best_seconds(work: Callable[[int], object], threads: int) -> float:
    """Shortest time in which all threads do their work, each once."""
    taken = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(BEST_OF + 1):  # the first compiles
            began = time.perf_counter()
            list(pool.map(work, range(threads)))
            taken.append(time.perf_counter() - began)
    return min(taken)


def _read(memory: NDArray[np.uint64], low: int, high: int, rounds: int) -> Value:
    total = np.uint64(0)
    for _ in range(rounds):
        for block in range(len(memory)):
            row = memory[block, low:high]
            for word in range(len(row)):
                total += row[word]
    return total


def _instruction(builder: Value) -> tuple[Value, Value, Value]:
    """The function, and the vector types of its sums and of its operands."""
    if HAS_VNNI:
        sums = ir.VectorType(I32, 16)
        operands = ir.VectorType(ir.IntType(8), 64) if binding.llvm_version_info[0] >= VNNI_TAKES_BYTES_FROM else sums
        form, name = ir.FunctionType(sums, [sums, operands, operands]), "llvm.x86.avx512.vpdpbusd.512"
    else:
        sums = operands = ir.VectorType(ir.FloatType(), 8)
        form, name = ir.FunctionType(sums, [sums] * 3), "llvm.fmuladd.v8f32"
    return builder.module.declare_intrinsic(name, fnty=form), sums, operands


def _emit_chains(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
    """`CHAINS` sums in registers, each `steps` instructions long; some of their bits, so that none can be left out."""
    function, sums, operands = _instruction(builder)
    places = [alloca(builder, ir.Constant(sums, None)) for _ in range(CHAINS)]
    words = ir.VectorType(I32, sums.count)
    first = ir.Constant(I32, 0)
    some = builder.insert_element(ir.Constant(words, None), builder.trunc(arguments[0], I32), first)
    operand = builder.bitcast(some, operands)
    with cgutils.for_range(builder, arguments[0]):
        for place in places:
            total = builder.load(place)
            both = [total, operand, operand] if HAS_VNNI else [operand, operand, total]
            builder.store(builder.call(function, both), place)
    lanes = [builder.extract_element(builder.bitcast(builder.load(place), words), first) for place in places]
    return builder.zext(reduce(builder.xor, lanes), ir.IntType(64))


@intrinsic
def _chains_of(_typing: Value, _steps: Value) -> tuple[Value, Callable[..., Value]]:
    return types.uint64(types.int64), _emit_chains


_chains: Any = _chains_of


def _sum(steps: int) -> Value:
    return _chains(steps)


_read_all = numba.njit(nogil=True)(_read)
_sum_all = numba.njit(nogil=True)(_sum)
