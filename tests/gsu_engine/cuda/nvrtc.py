"""The kernels through NVIDIA's own compiler, without a GPU: registers, spills, machine code.

NVRTC is the compiler that CuPy calls; a GPU build of PyTorch brings it along. From the root of the repository:

    python -m tests.gsu_engine.cuda.nvrtc                                  resources of all kernels
    python -m tests.gsu_engine.cuda.nvrtc --record                         ... into kernels/registers.json
    python -m tests.gsu_engine.cuda.nvrtc --sass filter_128 --arch sm_90   machine code and counts of instructions
"""

# ruff: noqa: T201 - a tool for people, too

import argparse
import collections
import ctypes
import functools
import importlib.util
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from muse_stream.gsu_engine.cuda import sources

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")  # A100, H100/H200, B200, by the names that CuPy gives them
CUPY_ADDS = ("-ftz=true", "--device-as-default-execution-space")  # to the options of any kernel
REGISTERS = sources.FOLDER / "registers.json"
ENTRY = re.compile(r"Compiling entry function '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
WARNING = re.compile(r"\bwarning *(#|:)")  # of the C++ front end, of NVRTC, of ptxas
OPCODE = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?\s*([A-Z][A-Z0-9]*)", re.MULTILINE)


class CompileError(Exception):
    """The compiler refused; the text is its log."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one kernel takes of an SM; shared memory without the dynamic part."""

    registers: int
    stack_bytes: int
    spill_bytes: int
    shared_bytes: int


@dataclass(frozen=True, slots=True)
class Program:
    """A unit in machine code, and what the compiler said."""

    cubin: bytes
    log: str

    def usages(self) -> dict[str, Usage]:
        """Resources by kernel."""
        parts = ENTRY.split(self.log)[1:]
        return {name: _usage(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}

    def warnings(self) -> list[str]:
        """Lines that begin one."""
        return [line for line in self.log.splitlines() if WARNING.search(line)]


def _usage(text: str) -> Usage:
    frames = [tuple(map(int, found.groups())) for found in FRAME.finditer(text)]  # of the kernel and what it calls
    registers, shared = re.search(r"Used (\d+) registers", text), re.search(r"(\d+) bytes smem", text)
    return Usage(
        registers=int(registers[1]) if registers else 0,
        stack_bytes=sum(stack for stack, _, _ in frames),
        spill_bytes=sum(stores + loads for _, stores, loads in frames),
        shared_bytes=int(shared[1]) if shared else 0,
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """NVRTC as NVIDIA's wheels bring it, or None."""
    found = importlib.util.find_spec("nvidia")
    for root in (found.submodule_search_locations or ()) if found else ():
        for folder in (*sorted(Path(root).glob("cu[0-9]*/lib")), Path(root) / "cuda_nvrtc/lib"):
            compilers = sorted(folder.glob("libnvrtc.so.*"))
            if compilers:
                for builtins in folder.glob("libnvrtc-builtins.so.*"):
                    ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)
                return ctypes.CDLL(str(compilers[-1]))
    return None


def _nvrtc() -> ctypes.CDLL:
    nvrtc = library()
    if nvrtc is None:
        message = "no NVRTC: a GPU build of PyTorch brings it"
        raise RuntimeError(message)
    return nvrtc


def version() -> str:
    """Of NVRTC, as 13.2."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


@functools.cache
def compiled(text: str, architecture: str, options: tuple[str, ...] = sources.OPTIONS) -> Program:
    """Machine code of a source.

    Raises:
        CompileError: It does not compile.

    """
    nvrtc, program = _nvrtc(), ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"unit.cu", 0, None, None)
    try:
        told = (*options, *CUPY_ADDS, f"--gpu-architecture={architecture}", "--ptxas-options=-v")
        failed = nvrtc.nvrtcCompileProgram(program, len(told), (ctypes.c_char_p * len(told))(*map(str.encode, told)))
        log = _output(nvrtc, program, "ProgramLog").decode().rstrip("\0")
        if failed:
            raise CompileError(log)
        return Program(_output(nvrtc, program, "CUBIN"), log)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _output(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


def registers() -> dict[str, dict[str, int]]:
    """Registers by kernel and architecture, of all units."""
    found: dict[str, dict[str, int]] = collections.defaultdict(dict)
    for unit in sources.units():
        for architecture in ARCHITECTURES:
            for kernel, usage in compiled(sources.text_of(unit), architecture).usages().items():
                found[kernel][architecture] = usage.registers
    return dict(sorted(found.items()))


def record() -> None:
    """Write `registers.json` anew."""
    REGISTERS.write_text(json.dumps({"nvrtc": version(), "kernels": registers()}, indent=2) + "\n", encoding="utf-8")


def disassembler() -> str | None:
    """`cuobjdump`, of a CUDA toolkit or of Triton, or None."""
    triton = importlib.util.find_spec("triton")
    roots = triton.submodule_search_locations or () if triton else ()
    places = [None, *(f"{root}/backends/nvidia/bin" for root in roots)]  # None is PATH
    return next(filter(None, (shutil.which("cuobjdump", path=place) for place in places)), None)


def sass(kernel: str, architecture: str) -> str:
    """Machine code of one kernel, for people; encodings left out."""
    program, tool = compiled(sources.text_of(sources.KERNELS[kernel]), architecture), disassembler()
    if tool is None:
        message = "no cuobjdump: Triton's wheel or a CUDA toolkit brings it"
        raise RuntimeError(message)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(program.cubin)
        file.flush()
        command = [tool, "-sass", "-fun", kernel, file.name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return "\n".join(re.sub(r"\s*/\* 0x[0-9a-f]{16} \*/", "", line) for line in text.splitlines() if OPCODE.match(line))


def opcodes(code: str) -> dict[str, int]:
    """How many instructions of each kind machine code has, most frequent first; padding left out."""
    return dict(collections.Counter(opcode for opcode in OPCODE.findall(code) if opcode != "NOP").most_common())


def main() -> None:
    """What the module's docstring says."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--record", action="store_true")
    asked.add_argument("--sass", metavar="KERNEL", choices=sorted(sources.KERNELS))
    asked.add_argument("--arch", default="sm_90")
    given = asked.parse_args()
    if given.record:
        record()
    elif given.sass:
        code = sass(given.sass, given.arch)
        print(code, opcodes(code), sep="\n")
    else:
        _print_all()


def _print_all() -> None:
    for unit in sources.units():
        for architecture in ARCHITECTURES:
            program = compiled(sources.text_of(unit), architecture)
            for warning in program.warnings():
                print(warning)
            for kernel, usage in program.usages().items():
                print(architecture, unit, kernel, usage)


if __name__ == "__main__":
    main()
