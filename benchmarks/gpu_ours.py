"""Our own searches: whole engines, and the CUDA engine's parts on a device that is metered.

An engine's time is the whole call, from the checked batch to host arrays. Time on the device is that of the same search
on the same histories through `DeviceSearch`, from the start of its first launch to the end of its last one.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from muse_stream.benchmarks.gpu_clock import EventClock
from muse_stream.benchmarks.gpu_device import Metered
from muse_stream.benchmarks.gpu_world import Question, World
from muse_stream.gsu_engine import GsuEngine, SearchResult
from muse_stream.gsu_engine.contract import Backend

CUDA, ARRAY, CPU = "ours, CUDA", "ours, CuPy arrays", "ours, CPU"
PACKAGE = "muse_stream.gsu_engine.cuda"
CAP = 1 << 20
POOL_BYTES = 4 << 30
RECENT = 0


@dataclass(frozen=True, slots=True)
class Ours:
    """One way of ours to answer.

    Attributes:
        search: The whole call.
        device_seconds: Of the same search on the device; None where that cannot be told.

    """

    search: Callable[[Question, int], SearchResult]
    device_seconds: Callable[[Question, int], float] | None = None


class Histories(Protocol):
    """What is used of `DeviceHistories`."""

    departures: int

    def enter(self, user: int, start: int, slots: Any, *, departures: int) -> bool:  # noqa: ANN401
        """Hold a user."""
        ...

    def append(self, users: Any, starts: Any, bounds: Any, slots: Any, *, departures: int) -> bool:  # noqa: ANN401
        """Add behaviours."""
        ...

    def find(self, users: Any, starts: Any, stops: Any) -> Any:  # noqa: ANN401
        """Record numbers of windows that are held."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The CUDA engine's parts on one device: `DeviceHistories`, `DeviceVectors`, `DeviceSearch`."""

    device: Metered
    histories: Histories
    vectors: Any
    search: Any


def open_parts(world: World) -> Parts:
    """On CuPy's current device. Raises what opening it raises."""
    opened = importlib.import_module(f"{PACKAGE}.cupy_device").open_device()
    device = Metered(opened, EventClock(opened.stream))
    histories = importlib.import_module(f"{PACKAGE}.histories").DeviceHistories(device, POOL_BYTES, CAP)
    vectors = importlib.import_module(f"{PACKAGE}.vectors").DeviceVectors(device, world.table)
    search = importlib.import_module(f"{PACKAGE}.search").DeviceSearch(device, histories, vectors)
    return Parts(device, histories, vectors, search)


def engine_of(world: World, backend: str | Backend) -> GsuEngine:
    """An engine with room for all users of a run; made once, since an index never forgets an engine."""
    return GsuEngine(world.table, cap=CAP, pool_bytes=POOL_BYTES, packed_bytes=POOL_BYTES, backend=backend)


def enter(world: World, engine: GsuEngine, users: Sequence[int]) -> None:
    """Make users resident."""
    for user in users:
        engine.prefetch(user, world)


def way_of(world: World, engine: GsuEngine, parts: Parts | None = None) -> Ours:
    """An engine's searches, timed on the device where its parts are given."""

    def search(question: Question, k: int) -> SearchResult:
        return engine.search(question.batch, k, RECENT, world)

    if parts is None:
        return Ours(search)
    return Ours(search, lambda question, k: device_seconds(world, parts, question, k))


def hold(world: World, parts: Parts, users: Sequence[int]) -> None:
    """Make users resident on the device, and the vectors there equal to the table. Raises RuntimeError: no room."""
    with world.table.index.shared():
        for user in users:
            start, items = world.items(user)
            slots = world.table.index.slots(items, create=True)
            if not parts.histories.enter(user, start, slots, departures=parts.histories.departures):
                message = f"user {user} with {len(items)} behaviours finds no room on the device"
                raise RuntimeError(message)
        parts.vectors.follow()


def device_seconds(world: World, parts: Parts, question: Question, k: int) -> float:
    """One search, by the device's own clock."""
    batch = question.batch
    with world.table.index.shared():
        parts.vectors.follow()
        records = parts.histories.find(batch.users, batch.starts, batch.stops)
        parts.device.reset()
        parts.search.start(batch, None, records, k, RECENT).wait()
    return parts.device.seconds()


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
