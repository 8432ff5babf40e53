"""What NVIDIA's compiler makes of the kernels: nothing spilled, no warning, no register more than is on record."""

import json

import pytest

from muse_stream.gsu_engine.cuda import sources
from tests.gsu_engine.cuda import nvrtc

pytestmark = pytest.mark.skipif(nvrtc.library() is None, reason="no NVRTC: only GPU builds of PyTorch bring it")

SPILLS = """
extern "C" __global__ void __launch_bounds__(1024, 2) spills(float* values, int rounds) {
    float held[64];
#pragma unroll
    for (int i = 0; i < 64; i++) held[i] = values[i * threadIdx.x];
    for (int round = 0; round < rounds; round++) {
#pragma unroll
        for (int i = 0; i < 64; i++) held[i] += held[(i * 7 + 1) % 64] * held[i];
    }
#pragma unroll
    for (int i = 0; i < 64; i++) values[i + threadIdx.x] = held[i];
}
"""
HAS_A_FRAME = """
extern "C" __global__ void has_a_frame(int* values) {
    int held[64];
    for (int i = 0; i < 64; i++) held[i] = values[i];
    for (int i = 0; i < 64; i++) values[i] = held[values[i] & 63];
}
"""


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("unit", sources.units())
def test_kernels_spill_nothing_and_compile_without_a_warning(unit: str, architecture: str) -> None:
    program = nvrtc.compiled(sources.text_of(unit), architecture)
    assert program.warnings() == []
    assert program.usages()
    for kernel, usage in program.usages().items():
        assert usage.registers > 0, kernel
        assert (usage.stack_bytes, usage.spill_bytes) == (0, 0), kernel


@pytest.mark.parametrize("unit", sources.units())
def test_a_unit_has_the_kernels_that_are_listed_for_it(unit: str) -> None:
    program = nvrtc.compiled(sources.text_of(unit), nvrtc.ARCHITECTURES[0])
    assert set(program.usages()) == {kernel for kernel, of in sources.KERNELS.items() if of == unit}


def test_registers_are_those_on_record() -> None:
    recorded = json.loads(nvrtc.REGISTERS.read_text(encoding="utf-8"))
    if recorded["nvrtc"] != nvrtc.version():
        pytest.skip(f"on record are the registers of NVRTC {recorded['nvrtc']}, this is {nvrtc.version()}")
    found, known = nvrtc.registers(), recorded["kernels"]
    changed = {kernel: (known.get(kernel), found.get(kernel)) for kernel in {*known, *found}}
    changed = {kernel: pair for kernel, pair in changed.items() if pair[0] != pair[1]}
    assert not changed, "on record, and now; if that is meant: python -m tests.gsu_engine.cuda.nvrtc --record"


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_a_spill_would_be_seen(architecture: str) -> None:
    usage = nvrtc.compiled(SPILLS, architecture).usages()["spills"]
    assert usage.registers == 32
    assert usage.spill_bytes > 0


def test_a_stack_frame_would_be_seen() -> None:
    usage = nvrtc.compiled(HAS_A_FRAME, "sm_90").usages()["has_a_frame"]
    assert (usage.stack_bytes, usage.spill_bytes) == (256, 0)


def test_shared_memory_is_counted() -> None:
    text = (
        'extern "C" __global__ void shares(int* values) { __shared__ int held[100]; held[threadIdx.x] = values[0];'
        " __syncthreads(); values[threadIdx.x] = held[99 - threadIdx.x]; }"
    )
    assert nvrtc.compiled(text, "sm_90").usages()["shares"].shared_bytes == 400


def test_a_warning_would_be_seen() -> None:
    program = nvrtc.compiled('extern "C" __global__ void warns() { int unused = 3; }', "sm_90")
    assert ["unused" in warning for warning in program.warnings()] == [True]


def test_a_mistake_is_told_with_its_line() -> None:
    with pytest.raises(nvrtc.CompileError, match=r"unit\.cu\(1\): error: .*nonsense"):
        nvrtc.compiled('extern "C" __global__ void fails() { nonsense; }', "sm_90")


@pytest.mark.skipif(nvrtc.disassembler() is None, reason="no cuobjdump: Triton's wheel brings it")
def test_machine_code_can_be_read() -> None:
    for kernel, unit in sources.KERNELS.items():
        if unit in sources.units():
            assert nvrtc.opcodes(nvrtc.sass(kernel, "sm_90"))["EXIT"] >= 1
