"""Kernels' text into a library for this machine: g++, and a cache by what went in.

A unit becomes one namespace in one file, with a table of its kernels behind it; the scheduler is compiled beside it.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda import sources

HERE = Path(__file__).parent
CACHE = HERE.parents[3] / ".cache" / "emulator"
HEADERS = ("cuda_on_cpu.hpp", "runtime.hpp", "atomics.hpp", "collectives.hpp", "matrices.hpp", "fibers.hpp", "state.hpp")
RUNTIME = ("runtime.cpp", "guard.cpp")
OPTIONS = ("-std=c++17", "-O2", "-g1", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE", "-Wall")
KERNEL = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\(([^)]*)\)\s+)?(\w+)\(\s*const (\w+)\s*\*')
THREADS_MAX = 1024
TEXT_BYTES = 4096


class BuildError(Exception):
    """The compiler refuses the kernels; the text is its own."""


class KernelError(AssertionError):
    """A kernel did what it must not; the text says which kernel, block and thread, and what."""


@dataclass(frozen=True)
class Library:
    """A compiled unit.

    Attributes:
        kernels: Names of what it can launch.
        text: What was compiled, for the line numbers of errors.

    """

    path: Path
    kernels: tuple[str, ...]
    text: str
    loaded: ctypes.CDLL

    def set_buffers(self, ranges: NDArray[np.uint64]) -> None:
        """Name the device memory there is: `[n, 2]`, first byte and end of each."""
        self.loaded.set_buffers(ctypes.c_void_p(ranges.ctypes.data), ctypes.c_size_t(len(ranges)))

    def launch(
        self,
        kernel: str,
        blocks: int,
        threads: int,
        shared_bytes: int,
        argument: int,
        *,
        seed: int,
        together: int = 4,
        seconds: float = 60.0,
    ) -> None:
        """Run a kernel to its end; up to `together` blocks take turns, for at most so many seconds of the processor.

        Raises:
            KernelError: It did what it must not.

        """
        text = ctypes.create_string_buffer(TEXT_BYTES)
        failed = self.loaded.launch(
            kernel.encode(),
            ctypes.c_uint(blocks),
            ctypes.c_uint(threads),
            ctypes.c_size_t(shared_bytes),
            ctypes.c_void_p(argument),
            ctypes.c_uint64(seed),
            ctypes.c_uint(together),
            ctypes.c_double(seconds),
            text,
            ctypes.c_size_t(TEXT_BYTES),
        )
        if failed:
            raise KernelError(self._explained(text.value.decode()))

    def _explained(self, message: str) -> str:
        """The same, with the source of each line that it names."""
        found = re.search(r" \[(\S+)\+(0x[0-9a-f]+)\]$", message)
        if found and found[1] == str(self.path):
            message = message[: found.start()] + self._line_at(found[2])
        lines = self.text.splitlines()
        named = {int(number) for number in re.findall(r"\(line (\d+)\)", message)}
        return "\n".join([message, *(f"  line {n}: {lines[n - 1].strip()}" for n in sorted(named) if n <= len(lines))])

    def _line_at(self, offset: str) -> str:
        tool = shutil.which("addr2line")
        if tool is None:
            return f" [{offset}]"
        command = [tool, "-i", "-e", str(self.path), offset]
        places = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")
        numbers = [place.rpartition(":")[2].split(" ")[0] for place in places if f"{self.path.stem}.cpp:" in place]
        return "".join(f" (line {number})" for number in numbers)


def kernels_in(text: str) -> dict[str, str]:
    """The kernels that a text defines, and how many threads a block of each may have, in C++."""
    return {name: bound.split(",")[0] or str(THREADS_MAX) for bound, name, _ in KERNEL.findall(text)}


@cache
def compiler() -> str | None:
    """g++, or None where there is none."""
    return shutil.which("g++")


@cache
def _version(gxx: str) -> str:
    return subprocess.run([gxx, "--version"], capture_output=True, text=True, check=True).stdout


def build(text: str, *, checked: bool = False) -> Library:
    """Compile a unit, or take what was compiled before.

    Args:
        text: Kernels with their headers in it.
        checked: Undefined behaviour, accesses outside of all memory and races in shared memory are errors; slow.

    Raises:
        BuildError: The compiler refuses it.

    """
    return _built(text, checked)


@cache
def _built(text: str, checked: bool) -> Library:
    gxx = compiler()
    if gxx is None:
        message = "there is no g++"
        raise BuildError(message)
    unit = _unit(text)
    path = CACHE / f"{_digest(gxx, unit, str(checked))}.so"
    if not path.exists():
        _compile(gxx, unit, path, checked=checked)
    return Library(path, tuple(kernels_in(text)), unit, ctypes.CDLL(str(path)))


def _digest(gxx: str, *texts: str) -> str:
    """Of these, and of all that goes into every library."""
    parts = [*texts, _version(gxx), os.uname().machine, *map(_read, (*HEADERS, *RUNTIME, "builder.py"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _unit(text: str) -> str:
    """The file to compile. A kernel's name may be one of C's own: hence a namespace, and no extern "C"."""
    plain = KERNEL.sub(lambda found: found[0].replace('extern "C" ', ""), text)
    rows = "".join(
        f'    {{"{name}", [](const void* argument) {{ unit::{name}(static_cast<const unit::{struct}*>(argument)); }}, '
        f"{bound.split(',')[0] or THREADS_MAX}}},\n"
        for bound, name, struct in KERNEL.findall(text)
    )
    count = len(kernels_in(text))
    return (
        '#include "cuda_on_cpu.hpp"\n'
        f"namespace unit {{ namespace {{\n{plain}\n"
        "} }\n"
        f"namespace emulator {{\nconst Kernel KERNELS[] = {{\n{rows}    {{nullptr, nullptr, 0}}}};\n"
        f"const unsigned KERNEL_COUNT = {count};\n}}\n"
    )


def _compile(gxx: str, unit: str, path: Path, *, checked: bool) -> None:
    """Into a folder of its own, then renamed: whoever looks sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    runtime = [_runtime_object(gxx, HERE / name) for name in RUNTIME]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source, made = Path(folder) / f"{path.stem}.cpp", Path(folder) / path.name
        source.write_text(unit, encoding="utf-8")
        own = source.with_suffix(".o")
        _run([gxx, *OPTIONS, *(CHECKS if checked else ()), f"-I{HERE}", "-c", str(source), "-o", str(own)])
        _run([gxx, "-shared", str(own), *runtime, "-o", str(made), "-ldl", "-lrt", "-pthread"])
        made.replace(path)


def _runtime_object(gxx: str, source: Path) -> str:
    """The scheduler's part in `source`, compiled once for all units."""
    path = CACHE / f"{source.stem}-{_digest(gxx)}.o"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            _run([gxx, *OPTIONS, "-c", str(source), "-o", str(made)])
            made.replace(path)
    return str(path)


# A trap needs no library of the sanitiser; -fsanitize=thread calls functions at every access, which races.cpp brings.
CHECKS = (
    "-fsanitize=undefined",
    "-fsanitize-undefined-trap-on-error",
    "-fno-sanitize=vptr",
    "-fsanitize=thread",
    "--param=tsan-instrument-func-entry-exit=0",
)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(done.stderr)


def unit_of(kernel: str) -> str | None:
    """The unit of this project that defines a kernel."""
    return next((unit for unit in sources.units() if kernel in kernels_in(sources.text_of(unit))), None)
