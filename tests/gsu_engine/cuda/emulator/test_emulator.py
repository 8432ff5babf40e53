"""The emulator does what the CUDA guide and the PTX ISA say, and shows what they forbid."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda import sources
from muse_stream.gsu_engine.cuda.parcel import Packed, Parcel
from muse_stream.gsu_engine.errors import DeviceLostError, DeviceMemoryError
from tests.gsu_engine.cuda.emulator.builder import BuildError, KernelError, build, compiler
from tests.gsu_engine.cuda.emulator.device import EmulatedDevice

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

STRUCT = "struct Use { const unsigned char* in; unsigned char* out; int n; };\n"
USE = np.dtype([("in", "<u8"), ("out", "<u8"), ("n", "<i4")], align=True)
PRIMITIVES = (sources.FOLDER / "primitives.cuh").read_text(encoding="utf-8").replace("#pragma once\n", "")


class Bench:
    """Kernels, each with one input and one output."""

    def __init__(self, *bodies: str, checked: bool = False) -> None:
        text = "".join(
            f'extern "C" __global__ void probe{i}(const Use* use) {{\n{b}\n}}\n' for i, b in enumerate(bodies)
        )
        self.library = build(PRIMITIVES + STRUCT + text, checked=checked)

    def run(
        self,
        given: NDArray[Any],
        out: NDArray[Any],
        *,
        body: int = 0,
        seed: int = 0,
        blocks: int = 1,
        threads: int = 32,
        shared_bytes: int = 0,
    ) -> NDArray[Any]:
        """What a kernel makes of `out`."""
        device = EmulatedDevice(seed, library=self.library)
        target = device.allocate(out.nbytes)
        device.write(target, 0, out)
        struct = np.zeros(1, USE)
        struct["out"], struct["n"] = target.address, len(given)
        parcel = Parcel(device)
        device.launch(f"probe{body}", blocks, threads, shared_bytes, parcel.send(Packed.of(struct, {"in": given})))
        return device.read(target, 0, out.nbytes).wait().view(out.dtype).reshape(out.shape)


def fragments_of(a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.uint32]:
    """`[32, 6]`: a[0..3] and b[0..1] of each lane, as primitives.cuh says, for a `[16, 32]` and b `[32, 8]`."""
    words_of_a, words_of_b = a.view(np.uint32), np.ascontiguousarray(b.T).view(np.uint32)
    lanes = np.arange(32)
    g, t = lanes // 4, lanes % 4
    left = [words_of_a[g, t], words_of_a[g + 8, t], words_of_a[g, t + 4], words_of_a[g + 8, t + 4]]
    return np.ascontiguousarray(np.stack([*left, words_of_b[g, t], words_of_b[g, t + 4]], axis=1))


def test_multiply_add_is_the_product_of_its_matrices() -> None:
    bench = Bench("""
        const uint32* mine = reinterpret_cast<const uint32*>(use->in) + threadIdx.x * 6;
        const uint32 a[4] = {mine[0], mine[1], mine[2], mine[3]};
        int* c = reinterpret_cast<int*>(use->out) + threadIdx.x * 4;
        int sums[4] = {c[0], c[1], c[2], c[3]};
        multiply_add(sums, a, mine[4], mine[5]);
        for (int i = 0; i < 4; ++i) c[i] = sums[i];
    """)
    random = np.random.default_rng(1)
    for seed in range(4):
        a, b = random.integers(-128, 128, (16, 32), np.int8), random.integers(-128, 128, (32, 8), np.int8)
        before = random.integers(-(2**31), 2**31, (32, 4), np.int64).astype(np.int32)
        after = bench.run(fragments_of(a, b).reshape(-1), before, seed=seed)
        g, t = np.arange(32) // 4, np.arange(32) % 4
        exact = a.astype(np.int32) @ b.astype(np.int32)
        added = np.stack([exact[g, 2 * t], exact[g, 2 * t + 1], exact[g + 8, 2 * t], exact[g + 8, 2 * t + 1]], axis=1)
        np.testing.assert_array_equal(after, before + added)


def test_load_matrices_hands_out_rows() -> None:
    bench = Bench("""
        DYNAMIC_SHARED(shared);
        for (int i = threadIdx.x; i < 512; i += 32) shared[i] = use->in[i];
        __syncwarp();
        uint32 out[4];
        load_matrices(out, shared + (31 - threadIdx.x) * 16);
        for (int i = 0; i < 4; ++i) reinterpret_cast<uint32*>(use->out)[threadIdx.x * 4 + i] = out[i];
    """)
    given = np.random.default_rng(2).integers(0, 256, 512, np.uint8)
    got = bench.run(given, np.zeros((32, 4), np.uint32), shared_bytes=512)
    rows = given.reshape(32, 16)[::-1].copy().view(np.uint32)
    lanes = np.arange(32)
    np.testing.assert_array_equal(got, np.stack([rows[8 * m + lanes // 4, lanes % 4] for m in range(4)], axis=1))


COLLECTIVES: list[tuple[str, Any]] = [
    ("__ballot_sync(ALL_LANES, v & 1)", lambda v: np.full(32, ((v & 1) << np.arange(32)).sum())),
    ("__any_sync(ALL_LANES, v == 77)", lambda v: np.full(32, int((v == 77).any()))),
    ("__all_sync(ALL_LANES, v >= 0)", lambda v: np.full(32, int((v >= 0).all()))),
    ("__shfl_sync(ALL_LANES, v, 5)", lambda v: np.full(32, v[5])),
    ("__shfl_sync(ALL_LANES, v, threadIdx.x * 7)", lambda v: v[np.arange(32) * 7 % 32]),
    ("__shfl_sync(ALL_LANES, v, 3, 8)", lambda v: v[np.arange(32) // 8 * 8 + 3]),
    ("__shfl_xor_sync(ALL_LANES, v, 12)", lambda v: v[np.arange(32) ^ 12]),
    ("__shfl_down_sync(ALL_LANES, v, 9)", lambda v: np.concatenate([v[9:], v[-9:]])),
    ("__shfl_up_sync(ALL_LANES, v, 9)", lambda v: np.concatenate([v[:9], v[:-9]])),
    ("__reduce_add_sync(ALL_LANES, v)", lambda v: np.full(32, v.sum())),
    ("__reduce_max_sync(ALL_LANES, v)", lambda v: np.full(32, v.max())),
    ("__reduce_min_sync(ALL_LANES, v)", lambda v: np.full(32, v.min())),
    ("__reduce_max_sync(ALL_LANES, static_cast<uint32>(v))", lambda v: np.full(32, v.astype(np.uint32).max())),
    ("__dp4a(v, 0x01ff7f80, -3)", lambda v: -3 + v.astype("<i4").view(np.int8).reshape(32, 4) @ [-128, 127, -1, 1]),
    ("__popc(v) + __clz(v) * 100 + __ffs(v) * 10000", None),
]


@pytest.mark.parametrize("case", range(len(COLLECTIVES)), ids=[text for text, _ in COLLECTIVES])
def test_collectives(case: int) -> None:
    apply = """
        const int v = reinterpret_cast<const int*>(use->in)[threadIdx.x];
        reinterpret_cast<int*>(use->out)[threadIdx.x] = %s;
    """
    bench, expected = Bench(*(apply % expression for expression, _ in COLLECTIVES)), COLLECTIVES[case][1]
    values = np.random.default_rng(3).integers(-(2**20), 2**20, 32).astype(np.int32)
    bits = [format(int(v) & 0xFFFFFFFF, "032b") for v in values]
    counted = [b.count("1") + b.index("1") * 100 + (b[::-1].index("1") + 1) * 10000 for b in bits]
    wanted = np.array(counted) if expected is None else np.asarray(expected(values.astype(np.int64)))
    for seed in range(3):
        got = bench.run(values, np.zeros(32, np.int32), body=case, seed=seed)
        np.testing.assert_array_equal(got, wanted.astype(np.int64).astype(np.uint32).view(np.int32))


def test_lanes_may_meet_in_groups_and_exited_lanes_are_not_waited_for() -> None:
    bench = Bench("""
        const uint32 lane = threadIdx.x;
        if (lane >= 24) return;
        const uint32 mask = lane < 8 ? 0xffu : 0xffffff00u;
        uint32 sum = 0;
        for (int i = 0; i < 5; ++i) sum += __reduce_add_sync(mask, lane);
        __syncwarp();
        reinterpret_cast<uint32*>(use->out)[lane] = sum;
    """)
    lanes = np.arange(32)
    wanted = np.where(lanes < 8, 5 * 28, np.where(lanes < 24, 5 * sum(range(8, 24)), 0))
    for seed in range(5):
        np.testing.assert_array_equal(bench.run(lanes, np.zeros(32, np.uint32), seed=seed), wanted)


REVERSE = """
    __shared__ int seen;
    DYNAMIC_SHARED(shared);
    int* values = reinterpret_cast<int*>(shared);
    const int thread = threadIdx.x, all = blockDim.x;
    if (thread == 0) seen = blockIdx.x;
    values[thread] = thread;
    BARRIER
    reinterpret_cast<int*>(use->out)[blockIdx.x * all + thread] = values[all - 1 - thread] + 1000 * seen;
"""


def reversed_by(barrier: str, seed: int) -> bool:
    bench = Bench(REVERSE.replace("BARRIER", barrier))
    got = bench.run(
        np.zeros(1, np.int32), np.zeros((9, 96), np.int32), seed=seed, blocks=9, threads=96, shared_bytes=384
    )
    return bool((got == np.arange(96)[::-1] + 1000 * np.arange(9)[:, None]).all())


def test_a_barrier_orders_what_threads_of_a_block_write() -> None:
    assert all(reversed_by("__syncthreads();", seed) for seed in range(10))


@pytest.mark.parametrize("barrier", ["", "__syncwarp();"])
def test_a_missing_barrier_shows(barrier: str) -> None:
    assert not all(reversed_by(barrier, seed) for seed in range(3))


def test_barriers_that_count() -> None:
    bench = Bench("""
        const int thread = threadIdx.x;
        if (thread >= 50) return;
        const int count = __syncthreads_count(thread % 3 == 0);
        reinterpret_cast<int*>(use->out)[thread] = count + 100 * __syncthreads_or(thread == 49) +
            1000 * __syncthreads_or(thread == 50) + 10000 * __syncthreads_and(thread < 50);
    """)
    got = bench.run(np.zeros(1, np.int32), np.zeros(64, np.int32), threads=64)
    np.testing.assert_array_equal(got, np.where(np.arange(64) < 50, 17 + 100 + 10000, 0))


COPY = """
    DYNAMIC_SHARED(shared);
    const int thread = threadIdx.x;
    for (int part = 0; part < 2; ++part) {
        begin_copy(shared + part * 512 + thread * 16, use->in + part * 512 + thread * 16);
        close_copies();
    }
    WAIT
    __syncthreads();
    for (int i = thread; i < SHOWN; i += 32) use->out[i] = shared[i ^ 16];
"""


def copied_by(wait: str, shown: int, seed: int = 0) -> bool:
    bench = Bench(COPY.replace("WAIT", wait).replace("SHOWN", str(shown)))
    given = np.random.default_rng(4).integers(0, 256, 1024, np.uint8)
    got = bench.run(given, np.zeros(1024, np.uint8), seed=seed, shared_bytes=1024)
    return bool((got[:shown] == given[np.arange(shown) ^ 16]).all())


def test_copies_are_there_when_they_were_waited_for() -> None:
    assert copied_by("wait_for_copies<0>();", 1024)
    assert copied_by("wait_for_copies<1>();", 512)


def test_a_missing_wait_shows() -> None:
    assert not copied_by("", 512)
    assert not copied_by("wait_for_copies<1>();", 1024)
    assert not copied_by("wait_for_copies<2>();", 512)


def test_shared_memory_is_garbage_at_first() -> None:
    bench = Bench(
        "DYNAMIC_SHARED(shared); __shared__ uint8 more[32];\n"
        "use->out[threadIdx.x] = shared[threadIdx.x]; use->out[32 + threadIdx.x] = more[threadIdx.x];"
    )
    first, second = (bench.run(np.zeros(1), np.zeros(64, np.uint8), seed=seed, shared_bytes=32) for seed in (1, 2))
    assert len(set(first)) > 20
    assert (first[:32] != second[:32]).any()
    assert (first[32:] != second[32:]).any()


WRONG: list[tuple[str, str, str]] = [
    (
        "if (threadIdx.x < 16) __syncwarp(); else __ballot_sync(ALL_LANES, 1);",
        "different places.*__",
        "two collectives",
    ),
    ("if (threadIdx.x < 16) __syncwarp(0xffffffu); else __syncwarp(0xffffff00u);", "different places", "masks"),
    ("__syncwarp(threadIdx.x == 3 ? 0x7u : ~0u);", "lacks the lane", "own lane not in the mask"),
    ("if (threadIdx.x < 16) __syncthreads();\n else __syncthreads();", "different places", "two barriers"),
    (
        "if (threadIdx.x != 7) __syncthreads(); else __syncwarp();",
        r"threads 0-6,8-31 wait at __syncthreads .*"
        r"threads 7 wait at __syncwarp \(line \d+\) for threads 0-6,8-31",
        "deadlock",
    ),
    ("if (threadIdx.x < 31) __shfl_sync(0x7fffffffu, 1, 31);", "lane 31, which takes no part", "shuffle from nobody"),
    (
        "if (threadIdx.x < 31) { int c[4] = {}; uint32 a[4] = {}; multiply_add(c, a, 0, 0); }",
        "needs all 32",
        "31 lanes",
    ),
    ("DYNAMIC_SHARED(s); begin_copy(s + 8, use->in);", "not aligned to 16", "misaligned target"),
    ("DYNAMIC_SHARED(s); begin_copy(s, use->in + 4);", "not aligned to 16", "misaligned source"),
    ("DYNAMIC_SHARED(s); begin_copy(s, use->in + (1 << 20));", "in no buffer", "source outside"),
    ("DYNAMIC_SHARED(s); begin_copy(s + 1024, use->in);", "byte 1024 of 1024", "target outside"),
    ("DYNAMIC_SHARED(s); uint32 o[4]; load_matrices(o, s + threadIdx.x);", "not aligned to 16", "misaligned matrix"),
    ("DYNAMIC_SHARED(s); s[1024 + threadIdx.x] = 1;", "beyond its dynamic shared memory, at byte 1024", "shared zone"),
    ("use->out[64] = 1;", "wrote to byte 64 of a buffer of 64", "zone after"),
    ("use->out[-1] = 1;", "wrote to byte -1 of a buffer of 64", "zone before"),
    ("atomicAdd(reinterpret_cast<uint32*>(use->out + 1), 1u);", "not aligned to 4", "misaligned atomic"),
    ("*reinterpret_cast<volatile int*>(64) = 1;", "there is no memory, 0x40", "null pointer"),
]


@pytest.mark.parametrize("case", range(len(WRONG)), ids=[case[2] for case in WRONG])
def test_errors_are_told(case: int) -> None:
    bench = Bench(*(body for body, _, _ in WRONG))
    with pytest.raises(KernelError, match=WRONG[case][1]) as error:
        bench.run(np.zeros(64, np.uint8), np.zeros(64, np.uint8), body=case, shared_bytes=1024)
    assert f"kernel probe{case}" in str(error.value)


def test_an_error_shows_the_line() -> None:
    bench = Bench("\n\n  if (threadIdx.x != 7) __syncthreads();  // all but one\n  else __syncwarp();")
    with pytest.raises(KernelError, match=r"// all but one"):
        bench.run(np.zeros(1), np.zeros(1))


def test_a_kernel_without_end_is_ended() -> None:
    bench = Bench("volatile int i = 0; while (i == 0) {}")
    with pytest.raises(KernelError, match="it does not end"):
        bench.library.launch("probe0", 1, 32, 0, 0, seed=0, seconds=0.05)


def test_blocks_take_turns_and_atomics_hold() -> None:
    bench = Bench("""
        uint32* out = reinterpret_cast<uint32*>(use->out);
        atomicAdd(out, 1u);
        const uint32 seen = out[1];  // not atomic: additions are lost when blocks take turns
        __threadfence();
        out[1] = seen + 1;
        atomicMax(out + 2, blockIdx.x * 32 + threadIdx.x);
        const uint32 ticket = atomicAdd(out + 3, 1u);
        if (ticket == gridDim.x * 32 - 1) out[4] = 77;
    """)
    got = bench.run(np.zeros(1), np.zeros(5, np.uint32), blocks=20)
    assert list(got[[0, 2, 3, 4]]) == [640, 639, 640, 77]
    assert 0 < got[1] < 640


def test_the_seed_decides_everything() -> None:
    bench = Bench(
        "reinterpret_cast<uint32*>(use->out)[atomicAdd(reinterpret_cast<uint32*>(use->out), 1u) + 1] = "
        "blockIdx.x * 64 + threadIdx.x;"
    )
    orders = [bench.run(np.zeros(1), np.zeros(641, np.uint32), seed=seed, blocks=10, threads=64) for seed in (1, 1, 2)]
    assert (orders[0] == orders[1]).all()
    assert (orders[0] != orders[2]).any()
    assert all(sorted(order[1:]) == list(range(640)) for order in orders)


def test_launch_bounds_are_kept() -> None:
    text = f'{PRIMITIVES}{STRUCT}extern "C" __global__ void __launch_bounds__(64, 2) probe(const Use* use) {{}}'
    device = EmulatedDevice(library=build(text))
    device.launch("probe", 1, 64, 0, 0)
    with pytest.raises(KernelError, match="of at most 64"):
        device.launch("probe", 1, 96, 0, 0)
    with pytest.raises(KernelError, match="no kernel other"):
        device.launch("other", 1, 32, 0, 0)


def test_what_the_compiler_refuses_is_told() -> None:
    with pytest.raises(BuildError, match="nonsense"):
        build('extern "C" __global__ void probe(const int* use) { nonsense; }')


def test_memory_is_bounded_aligned_and_zero() -> None:
    device = EmulatedDevice(memory_bytes=1000)
    buffer = device.allocate(600)
    assert buffer.address % 256 == 0
    assert not device.read(buffer, 0, 600).wait().any()
    with pytest.raises(DeviceMemoryError):
        device.allocate(401)
    device.write(buffer, 8, np.arange(4, dtype=np.int32))
    other = device.allocate(100)
    device.move(buffer, other, 24)
    np.testing.assert_array_equal(device.read(other, 8, 16).wait().view(np.int32), np.arange(4))
    del buffer
    assert device.free_bytes() == 900


def test_a_device_can_be_lost_on_purpose() -> None:
    device = EmulatedDevice()
    buffer = device.allocate(8)
    device.fail_after(2)
    copy = device.read(buffer, 0, 8)
    copy.wait()
    for call in (copy.wait, device.free_bytes, lambda: device.allocate(8)):
        with pytest.raises(DeviceLostError):
            call()


def test_libraries_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.gsu_engine.cuda.emulator.builder.CACHE", tmp_path)
    text = 'extern "C" __global__ void kept(const int* use) {}'
    made = build(text)
    assert made.kernels == ("kept",)
    assert [file.name for file in tmp_path.glob("*.so")] == [made.path.name]
    assert not [file for file in tmp_path.iterdir() if file.is_dir()]
