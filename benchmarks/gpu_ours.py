"""Our own searches: engines, and beside the CUDA engine one more whose device is metered.

An engine's time is the whole call, from the checked batch to host arrays. Time on the device is that of the same
search through the metered engine, from the start of its first launch to the end of its last one, or, where a captured
graph does it, from the start of that to its end, copies included. Marks cost time, so the engine whose calls are timed
goes without.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from muse_stream.benchmarks.gpu_clock import EventClock
from muse_stream.benchmarks.gpu_device import Metered
from muse_stream.benchmarks.gpu_world import Question, World
from muse_stream.gsu_engine import GsuEngine, SearchResult
from muse_stream.gsu_engine.backends.cpu import CpuBackend
from muse_stream.gsu_engine.backends.cuda import CudaBackend
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.cuda.cupy_device import open_device
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.ways import THREE_LAUNCHES, Way, Ways

CUDA, ARRAY, CPU = "ours, CUDA", "ours, CuPy arrays", "ours, CPU"
WAYS = {"ours, CUDA by launches": THREE_LAUNCHES, "ours, CUDA by graphs": Way(graph=True)}
CAP = 1 << 20
POOL_BYTES = 2 << 30  # all users of a run, five hundred of the longest
RECENT = 0


@dataclass(frozen=True, slots=True)
class Ours:
    """An engine, and what tells its time on the device.

    Attributes:
        engine: Whose calls are timed.
        metered: Another one of its kind; None where there is no device.
        device: That one's.

    """

    world: World
    engine: GsuEngine
    metered: GsuEngine | None = None
    device: Metered | None = None

    @classmethod
    def of(cls, world: World, backend: str | Backend, open_metered: Callable[[], Metered] | None = None) -> "Ours":
        """Engines with room for all users of a run; made once, since users have to come to them."""
        engine = _engine(world, backend)
        if open_metered is None:
            return cls(world, engine)
        device = open_metered()
        return cls(world, engine, _engine(world, CudaBackend(CpuBackend(), lambda: device)), device)

    def enter(self, users: Sequence[int]) -> None:
        """Make users resident."""
        for engine in filter(None, (self.engine, self.metered)):
            for user in users:
                engine.prefetch(user, self.world)

    def search(self, question: Question, k: int) -> SearchResult:
        """The whole call."""
        return self.engine.search(question.batch, k, RECENT, self.world)

    def device_seconds(self, question: Question, k: int) -> float | None:
        """Of the same search, by the device's own clock."""
        if self.metered is None or self.device is None:
            return None
        self.device.reset()
        self.metered.search(question.batch, k, RECENT, self.world)
        return self.device.seconds()

    def require_device(self) -> None:
        """Raise RuntimeError where the CPU answered what the device was asked."""
        for engine in filter(None, (self.engine, self.metered)):
            found = engine.stats().device
            if found and (found.lost or any(found.elsewhere.values())):
                message = f"the CPU answered for the device: {found.lost or dict(found.elsewhere)}"
                raise RuntimeError(message)


def _engine(world: World, backend: str | Backend) -> GsuEngine:
    return GsuEngine(
        world.table,
        cap=CAP,
        pool_bytes=POOL_BYTES,
        packed_bytes=POOL_BYTES,
        gpu_bytes=POOL_BYTES,
        backend=backend,
    )


def by_one_way(open_one: Callable[[], Device]) -> dict[str, Backend]:
    """Backends that always take one way, by the name of their rows."""
    return {name: CudaBackend(CpuBackend(), open_one, Ways(always=way)) for name, way in WAYS.items()}


def open_metered() -> Metered:
    """CuPy's current device. Raises what opening it raises."""
    device = open_device()
    return Metered(device, EventClock(device.stream))


def best(question: Question, found: SearchResult) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Per user `[C, K]` rows, newest first, as peers number them."""
    stops, bounds = question.batch.stops.tolist(), question.batch.bounds.tolist()
    return [
        stop - 1 - found.positions[low:high] for stop, low, high in zip(stops, bounds[:-1], bounds[1:], strict=True)
    ]


def same(left: SearchResult, right: SearchResult) -> bool:
    """To the bit."""
    names = ("scores", "positions", "count")
    return all(getattr(left, name).tobytes() == getattr(right, name).tobytes() for name in names)
