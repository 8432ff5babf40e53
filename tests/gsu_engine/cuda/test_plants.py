"""Bugs planted in the kernels, each at one place: searches on the emulator must find every one of them."""

from dataclasses import dataclass

import numpy as np
import pytest

from muse_stream.gsu_engine.cuda import sources
from tests.gsu_engine.cuda.devices import HAS_COMPILER
from tests.gsu_engine.cuda.emulator.builder import KernelError
from tests.gsu_engine.cuda.emulator.device import EmulatedDevice
from tests.gsu_engine.cuda.side import Side
from tests.gsu_engine.cuda.test_search import misleading_world, overflowing_world, world_of
from tests.gsu_engine.oracle import assert_identical
from tests.gsu_engine.worlds import World

PLANTS = {
    "hits of equal score are lost": ("y[block][0] >= thresholds[block][0] |", "y[block][0] > thresholds[block][0] |"),
    "the guess is trusted": ("count >= search.k || all_hit", "true"),
    "an overflow is not seen": ("hits <= (uint32)search.room && ", ""),
    "a full list is not cut": ("if (count + FINISH_THREADS > search.room) least = cut();", ""),
    "equal keys of a cut are lost": ("key != 0 && key >= least", "key != 0 && key > least"),
    "the oldest win": ("<< 32 | (uint32)place", "<< 32 | (uint32)~place"),
    "a barrier is missing": (
        "        wait_for_copies<1>();\n        __syncthreads();",
        "        wait_for_copies<1>();",
    ),
    "copies are not waited for": ("wait_for_copies<1>()", "wait_for_copies<2>()"),
    "rows of the next tile": ("rows + i % 3 * pipeline.rows_bytes", "rows + (i + 1) % 3 * pipeline.rows_bytes"),
    "the ring does not wrap": ("return entry < ring ? entry : entry - ring;", "return entry;"),
    "chunks are not exchanged": ("(chunk ^ row % chunks) * 16,", "chunk * 16,"),
    "a queue that is too full": ("if (queued > QUEUE - MOST_AT_ONCE) flush();", ""),
    "excluded rows are retrieved": (
        "if (search.excluded && search.excluded[candidate] == queue->slots[at]) continue;",
        "",
    ),
    "bitmaps are ignored": ("if (counts && pair.allowed_at >= 0)", "if (false)"),
    "bitmaps hide recent scores": ("at < 0 ? 0 : value;", "counts ? value : 0;"),
    "recent scores are one off": ("age = pair.length - 1 - (place", "age = pair.length - (place"),
    "half of the candidates": ("int own = block * 16 + g + part % 2 * 8;", "int own = block * 16 + g;"),
    "results beyond K": ("int found = min(count, search.k);", "int found = count;"),
    "a warp's queue is read before it is written": (
        "        __syncwarp(ALL_LANES);\n#pragma unroll 1\n        for (int at = lane_now()",
        "#pragma unroll 1\n        for (int at = lane_now()",
    ),
}


@dataclass
class Asked:
    """A world, and what is asked of it."""

    world: World
    users: list[int]
    candidates: list[int]
    k: int
    recent: int


@pytest.fixture(scope="module")
def asked() -> list[Asked]:
    wrapping = world_of("full", 6, [3_000])
    wrapping.histories[1].start = 40 * 512  # of a ring of 42 pages
    return [
        Asked(world_of("full", 1, [6_000, 300, 90]), [1, 2, 3, 1], [70, 3, 130, 5], 50, 20),
        Asked(world_of("multiples", 2, [5_000]), [1], [9], 50, 0),
        Asked(world_of("sparse", 3, [4_200]), [1], [40], 200, 200),
        Asked(world_of("equal", 4, [6_000]), [1], [2], 50, 5),
        Asked(overflowing_world(), [1], [30], 50, 5),
        Asked(world_of("signs", 5, [1_500], items=12), [1], [66], 7, 90),
        Asked(wrapping, [1], [3], 50, 5),
        Asked(misleading_world(), [1], [12], 50, 5),
    ]


def found(asked: list[Asked]) -> bool:
    """Whether some answer is wrong, or a kernel does what it must not."""
    for number, one in enumerate(asked):
        world = one.world
        for masks in (False, True):
            world.rng = np.random.default_rng(number)
            batch = world.batch(one.users, one.candidates, windows=False, masks=masks, exclusions=masks)
            side = Side(EmulatedDevice(number, checked=True), world, world.table())
            try:
                assert_identical(side.search(batch, one.k, one.recent), side.expected(batch, one.k, one.recent))
            except (AssertionError, KernelError):
                return True
    return False


@pytest.mark.skipif(not HAS_COMPILER, reason="no g++ to compile the kernels for this machine")
@pytest.mark.slow
@pytest.mark.parametrize("plant", [None, *PLANTS])
def test_plants_are_found(
    plant: str | None,
    asked: list[Asked],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = sources.text_of
    right, wrong = PLANTS[plant] if plant else ("", "")
    assert right in original("search")
    if plant:
        monkeypatch.setattr(sources, "text_of", lambda unit: original(unit).replace(right, wrong))
    assert found(asked) == (plant is not None)
