"""Taking every path of a search once, so that no kernel is compiled or loaded while somebody waits."""

from contextlib import suppress

import numpy as np

from muse_stream.gsu_engine.arrays import I64
from muse_stream.gsu_engine.backends import choose
from muse_stream.gsu_engine.contract import Backend, SearchBatch
from muse_stream.gsu_engine.engine import GsuEngine
from muse_stream.gsu_engine.errors import BackendError
from muse_stream.gsu_engine.index import ItemIndex
from muse_stream.gsu_engine.offload import DeviceBackend
from muse_stream.gsu_engine.table import VectorTable

USER, ITEMS = 1, 200
# Enough rows for answers to stand, enough products for all threads, and few enough rows to take no time.
ROWS, CANDIDATES = 3_000, 120
GPU_BYTES = 1 << 20  # histories of the rehearsal on a GPU, beside those of the engine proper


class _Source:
    """One user's made-up history (`HistorySource`)."""

    def __init__(self, items: I64) -> None:
        self._items = items

    def items(self, user: int) -> tuple[int, I64]:
        return 0, self._items


def rehearse(backend: str | Backend, threads: int | None, dimension: int, k: int) -> None:
    """Search made-up rows: gathered, packed, with bitmaps, slid, by one thread and all, with answers that stand.

    Where there is a device, there first, and then on the CPU, which answers when the device is lost. What is fastest
    on the device is measured before, so that searches are rehearsed, and answered from then on, in that way.

    Args:
        backend: As for `GsuEngine`.
        threads: Likewise.
        dimension: Width of a vector.
        k: Results per candidate.

    Raises:
        BackendError: The backend is unknown or cannot run here; never for `auto`, which does without.

    """
    chosen = choose(backend, threads, dimension)[0] if isinstance(backend, str) else backend
    if isinstance(chosen, DeviceBackend):
        chosen.tune(dimension, k)
        with suppress(*[BackendError] * (backend == "auto")):
            _rehearse(chosen, dimension, k)
        chosen = chosen.cpu
    _rehearse(chosen, dimension, k)


def _rehearse(backend: Backend, dimension: int, k: int) -> None:
    rng = np.random.default_rng(0)
    table = VectorTable(
        "rehearsal", dimension, ItemIndex(max_items=4 * ITEMS), budget_bytes=4 * ITEMS * (dimension + 4)
    )
    vectors = rng.integers(-127, 128, (ITEMS, dimension), np.int8)
    table.put(np.arange(1, ITEMS + 1), vectors)
    engine = GsuEngine(table, cap=ROWS, pool_bytes=1 << 20, packed_bytes=1 << 26, backend=backend, gpu_bytes=GPU_BYTES)
    source = _Source(rng.integers(1, ITEMS + 1, ROWS))
    stop = ROWS
    for turn in range(6):
        for candidates in (1, CANDIDATES):
            engine.search(_batch(table, stop, candidates, has_bitmap=turn == 1), k, min(turn, 2), source)
        engine.append(np.array([USER]), np.array([stop]), np.array([0, 1]), np.array([1 + turn]))
        stop += 1
        if turn == 3:  # a packed copy is renewed
            engine.put_vectors(np.array([1]), vectors[turn : turn + 1])
    engine.forget_vectors(np.array([ITEMS]))
    engine.drop(np.array([USER]))


def _batch(table: VectorTable, stop: int, candidates: int, *, has_bitmap: bool) -> SearchBatch:
    window = np.array([stop - ROWS]), np.array([stop])
    asked = np.arange(1, candidates + 1)
    allowed = [np.ones(ROWS, np.bool_)] if has_bitmap else None
    return SearchBatch(
        np.array([USER]), *window, np.array([0, candidates]), *table.lookup(asked), allowed, excluded=asked
    )
