"""The checked build: races, accesses outside of all memory and undefined behaviour are told, and nothing else is."""

import numpy as np
import pytest

from tests.gsu_engine.cuda.emulator.builder import KernelError, compiler
from tests.gsu_engine.cuda.emulator.test_emulator import Bench

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

SHARED = "DYNAMIC_SHARED(shared); int* s = reinterpret_cast<int*>(shared); const int t = threadIdx.x;\n"
OUT = "reinterpret_cast<int*>(use->out)[t]"
RACE = "a race at byte"

WRONG: list[tuple[str, str, str]] = [
    ("no barrier", f"s[t] = t; {OUT} = s[t ^ 1];", RACE),
    ("a vote is no barrier", f"s[t] = t; __ballot_sync(ALL_LANES, 1); {OUT} = s[t ^ 1];", RACE),
    ("a warp is not a block", f"s[t] = t; __syncwarp(); {OUT} = s[63 - t];", RACE),
    ("half a warp", f"s[t] = t; __syncwarp(t & 16 ? 0xffff0000u : 0xffffu); {OUT} = s[t ^ 16];", RACE),
    ("written again too early", f"s[t] = t; __syncthreads(); {OUT} = s[t ^ 1]; s[t] = 0;", RACE),
    ("two writers", "s[t / 2] = t;", RACE),
    ("static", f"__shared__ int x; if (t == 40) x = 7; {OUT} = x;", RACE),
    ("an atomic and a plain read", f"if (t == 0) s[0] = 0; __syncthreads(); atomicAdd(s, 1); {OUT} = s[0];", RACE),
    (
        "a copy that only its thread has waited for",
        f"begin_copy(shared + t * 16, use->in); close_copies(); wait_for_copies<0>(); {OUT} = s[(t ^ 1) * 4];",
        RACE,
    ),
    (
        "a copy onto what others still read",
        f"s[t] = t; __syncthreads(); {OUT} = s[63 - t]; if (t == 0) begin_copy(shared, use->in);",
        RACE,
    ),
    (
        "matrices that were not synchronised",
        "s[t] = t; uint32 o[4]; load_matrices(o, shared + t % 16 * 16); use->out[t] = o[0];",
        RACE,
    ),
    ("read beyond a buffer", f"{OUT} = use->out[255 + t];", r"its own: byte \d+ of a buffer of 256"),
    ("read before a buffer", f"{OUT} = use->out[-1 - t];", "in no memory of its own"),
    ("beyond shared memory", f"s[t] = t; {OUT} = s[512];", "in no memory of its own"),
    ("a misaligned load", "use->out[t] = reinterpret_cast<const int4*>(use->in + 4 * t)->x;", "undefined behaviour"),
    ("an overflow", f"{OUT} = 0x7fffffff - 31 + t;", "undefined behaviour"),
    ("a shift too far", f"{OUT} = 1 << t;", "undefined behaviour"),
]

RIGHT: list[tuple[str, str]] = [
    ("a barrier", f"s[t] = t; __syncthreads(); {OUT} = s[63 - t]; __syncthreads(); s[63 - t] = 1;"),
    ("a warp", f"for (int i = 0; i < 9; ++i) {{ s[t] = t; __syncwarp(); {OUT} = s[t ^ 1]; __syncwarp(); }}"),
    (
        "two steps",
        f"s[t] = t; __syncwarp(3u << (t & 30)); __syncwarp(t & 1 ? 0xaaaaaaaau : 0x55555555u); {OUT} = s[t ^ 3];",
    ),
    ("many readers", f"if (t == 0) s[0] = 5; __syncthreads(); {OUT} = s[0]; __syncthreads(); if (t == 63) s[0] = 6;"),
    ("atomics", f"if (t == 0) s[0] = 0; __syncthreads(); atomicAdd(s, 1); __syncthreads(); {OUT} = s[0];"),
    (
        "two buffers of copies",
        """begin_copy(shared + t * 16, use->in); close_copies();
        for (int i = 0; i < 8; ++i) {
            begin_copy(shared + ((i + 1) % 2 * 64 + t) * 16, use->in); close_copies();
            wait_for_copies<1>();
            __syncthreads();
            """
        f"{OUT} = s[i % 2 * 256 + (63 - t) * 4];"
        """
            __syncthreads();
        }""",
    ),
    ("tables", f"static const int table[4] = {{1, 2, 3, 4}}; {OUT} = table[t % 4];"),
    ("own arrays", f"int own[64]; for (int i = 0; i < 64; ++i) own[i] = i * t; {OUT} = own[t] + own[use->n % 7];"),
    ("shuffles", f"{OUT} = __shfl_xor_sync(ALL_LANES, t, 1) + __reduce_add_sync(ALL_LANES, t) + __popc(t);"),
    ("matrices", "uint32 a[4] = {}; int c[4] = {}; s[t] = t; __syncthreads(); load_matrices(a, shared + t % 16 * 16);"
     f"multiply_add(c, a, 1, 2); {OUT} = c[0];"),
]  # fmt: skip


@pytest.fixture(scope="module")
def wrong() -> Bench:
    return Bench(*(SHARED + body for _, body, _ in WRONG), checked=True)


@pytest.fixture(scope="module")
def right() -> Bench:
    return Bench(*(SHARED + body for _, body in RIGHT), checked=True)


@pytest.mark.parametrize("case", range(len(WRONG)), ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_told_whatever_the_order(wrong: Bench, case: int) -> None:
    for seed in range(5):
        with pytest.raises(KernelError, match=WRONG[case][2]) as error:
            wrong.run(np.zeros(256), np.zeros(64, np.int32), body=case, seed=seed, threads=64, shared_bytes=2048)
        assert "\n  line " in str(error.value), "it shows the line"


@pytest.mark.parametrize("case", range(len(RIGHT)), ids=[case[0] for case in RIGHT])
def test_what_is_right_passes(right: Bench, case: int) -> None:
    for seed in range(5):
        right.run(np.zeros(256), np.zeros(64, np.int32), body=case, seed=seed, threads=64, shared_bytes=2048)
