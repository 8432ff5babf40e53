"""Searches that were captured once, to be replayed: for small ones, whose launches cost more than their work.

Invariant: a captured search points to two buffers, and owns both: the one that its parameters are copied to, and the
one that its results are copied from. Pages, vectors and scratch it finds through the parameters, which are written for
each replay. So whatever moves or grows, no graph can point to where it was, and none has to be told.

A graph fits all searches of its `Geometry`. Sizes are rounded up to powers of two, so a service, which asks with one K
and one R, needs a few.
"""

import logging
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from muse_stream.gsu_engine.cuda.device import Buffer, Copy, Device, Graph
from muse_stream.gsu_engine.cuda.grid import Grid
from muse_stream.gsu_engine.cuda.parcel import Packed
from muse_stream.gsu_engine.cuda.plan import power_of_two
from muse_stream.gsu_engine.errors import CaptureError, DeviceMemoryError

log = logging.getLogger(__name__)

# Two sizes of upload and three of results for each of the shapes that are measured (see `ways`), and room for another
# K; at their largest they take 11 MB of device memory and as much page-locked.
MOST = 32
LEAST_BYTES = 4_096
UPLOAD_MOST_BYTES = 1 << 16  # 128 candidates of width 128, their pairs, and the bitmaps of 300 000 rows
RESULTS_MOST_BYTES = 1 << 18  # 128 candidates with 200 results and 80 recent scores each


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a capture fixes.

    Attributes:
        grid: Blocks and shared memory.
        upload_bytes: Room for parameters.
        results_bytes: Room for results.

    """

    grid: Grid
    upload_bytes: int
    results_bytes: int

    @classmethod
    def of(cls, grid: Grid, upload_bytes: int, results_bytes: int) -> "Geometry":
        """The one that a search falls into."""
        sizes = (max(power_of_two(size), LEAST_BYTES) for size in (upload_bytes, results_bytes))
        return cls(grid.rounded(), *sizes)

    @property
    def is_small(self) -> bool:
        """Whether graphs are kept for it."""
        return self.upload_bytes <= UPLOAD_MOST_BYTES and self.results_bytes <= RESULTS_MOST_BYTES


@dataclass(frozen=True, slots=True)
class Captured:
    """A graph, and all that it points to."""

    parameters: Buffer
    results: Buffer
    graph: Graph

    def replay(self, packed: Packed) -> Copy | None:
        """Search with these parameters, whose results' fields point into `results`; None where it is busy."""
        return self.graph.replay(packed.at(self.parameters.address))


class Graphs:
    """Those used last, by geometry. Not thread-safe.

    Attributes:
        refused: Why the device captures nothing; None while it does.
        replays: Searches so far.

    """

    def __init__(self, device: Device, width: int) -> None:
        self.refused: str | None = None
        self.replays = 0
        self._device, self._width = device, width
        self._held: OrderedDict[Geometry, Captured] = OrderedDict()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    @property
    def bytes(self) -> int:
        """Device memory of all of them; as much page-locked memory comes with it."""
        return sum(geometry.upload_bytes + geometry.results_bytes for geometry in self._held)

    def of(self, geometry: Geometry) -> Captured | None:
        """The graph for it, captured at its first use; None where there is none to be had.

        Raises:
            DeviceLostError: The device failed.

        """
        if self.refused is not None or not geometry.is_small:
            return None
        if geometry not in self._held:
            with suppress(DeviceMemoryError):  # the search itself may have room yet
                self._capture(geometry)
        if geometry not in self._held:
            return None
        self._held.move_to_end(geometry)
        return self._held[geometry]

    def clear(self) -> None:
        """Drop all: of a device that is lost."""
        self._held.clear()

    def _capture(self, geometry: Geometry) -> None:
        parameters = self._device.allocate(geometry.upload_bytes)
        results = self._device.allocate(geometry.results_bytes)
        launches = geometry.grid.launches(self._width, parameters.address)
        try:
            graph = self._device.capture(parameters, launches, results)
        except CaptureError as error:
            self.refused = str(error)
            log.warning("%s captures no graphs, small searches go without: %s", self._device.name, error)
            return
        self._held[geometry] = Captured(parameters, results, graph)
        if len(self._held) > MOST:
            self._held.popitem(last=False)
