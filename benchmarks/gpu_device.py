"""A device that counts what it launches and marks when that ran."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from muse_stream.benchmarks.gpu_clock import Clock, Mark
from muse_stream.gsu_engine.columns import Column
from muse_stream.gsu_engine.cuda.device import Buffer, Copy, Device, Graph, Launch
from muse_stream.gsu_engine.cuda.device import Mark as DeviceMark

Value = TypeVar("Value")


class Metered:
    """Another device, with a meter on its launches."""

    def __init__(self, device: Device, clock: Clock) -> None:
        self.name, self.multiprocessors = device.name, device.multiprocessors
        self.launches: list[str] = []
        self._device, self._clock = device, clock
        self._first: Mark = None
        self._last: Mark = None

    def reset(self) -> None:
        """Count from here on."""
        self.launches.clear()

    def seconds(self) -> float:
        """From the start of the first launch to the end of the last one; 0 where there was none. Waits."""
        return self._clock.seconds(self._first, self._last) if self.launches else 0.0

    def launch(self, kernel: str, blocks: int, threads: int, shared_bytes: int, argument: int) -> None:
        """See `Device.launch`."""
        self.around([kernel], lambda: self._device.launch(kernel, blocks, threads, shared_bytes, argument))

    def around(self, kernels: Sequence[str], run: Callable[[], Value]) -> Value:
        """Mark before and behind work that launches these kernels."""
        if not self.launches:
            self._first = self._clock.mark()
        done = run()
        self.launches += kernels
        self._last = self._clock.mark()
        return done

    def capture(self, upload: Buffer, launches: Sequence[Launch], download: Buffer) -> "MeteredGraph":
        """See `Device.capture`."""
        graph = self._device.capture(upload, launches, download)
        return MeteredGraph(self, graph, [one.kernel for one in launches])

    def mark(self) -> DeviceMark:
        """See `Device.mark`."""
        return self._device.mark()

    def column(self, buffer: Buffer, at_bytes: int, rows: int, width: int) -> Column:
        """See `Device.column`."""
        return self._device.column(buffer, at_bytes, rows, width)

    def free_bytes(self) -> int:
        """See `Device.free_bytes`."""
        return self._device.free_bytes()

    def allocate(self, size_bytes: int) -> Buffer:
        """See `Device.allocate`."""
        return self._device.allocate(size_bytes)

    def write(self, buffer: Buffer, at_bytes: int, data: NDArray[Any]) -> None:
        """See `Device.write`."""
        self._device.write(buffer, at_bytes, data)

    def move(self, source: Buffer, target: Buffer, size_bytes: int) -> None:
        """See `Device.move`."""
        self._device.move(source, target, size_bytes)

    def read(self, buffer: Buffer, at_bytes: int, size_bytes: int) -> Copy:
        """See `Device.read`."""
        return self._device.read(buffer, at_bytes, size_bytes)


class MeteredGraph:
    """A graph of a metered device: a replay counts as all of its launches."""

    def __init__(self, device: Metered, graph: Graph, kernels: Sequence[str]) -> None:
        self._device, self._graph, self._kernels = device, graph, kernels

    def replay(self, data: NDArray[np.uint8]) -> Copy | None:
        """See `Graph.replay`."""
        return self._device.around(self._kernels, lambda: self._graph.replay(data))
