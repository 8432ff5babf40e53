"""Captured sequences on the stand-ins of a device, and moments by a clock of the test's.

As on hardware a graph keeps nothing alive and finds everything by its address; unlike there, one that points to memory
which has gone is found out.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda.device import Buffer, Launch
from muse_stream.gsu_engine.cuda.graph import StagedGraph


class StandInDevice(Protocol):
    """What a stand-in needs for a replay."""

    def step(self) -> None:
        """One call of the device: it may be the one that fails."""
        ...

    def bytes_of(self, buffer: Any) -> NDArray[np.uint8]:
        """The memory of a buffer."""
        ...

    def launch(self, kernel: str, blocks: int, threads: int, shared_bytes: int, argument: int) -> None: ...


class Done:
    """An event: what was queued before it was done at once, though the device may be lost before anyone waits."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step

    @property
    def done(self) -> bool:
        return True

    def synchronize(self) -> None:
        self._step()


class Recorded:
    """An upload, launches, a download."""

    def __init__(self, device: StandInDevice, upload: Buffer, launches: Sequence[Launch], download: Buffer) -> None:
        low, high = upload.address, upload.address + upload.bytes
        assert all(low <= one.argument < high for one in launches), "a launch points to memory that nobody watches"
        self._device, self._launches = device, list(launches)
        self._upload, self._download = weakref.ref(upload), weakref.ref(download)
        self.staged, self.fetched = np.zeros(upload.bytes, np.uint8), np.zeros(download.bytes, np.uint8)

    def run(self) -> Done:
        upload, download = self._upload(), self._download()
        assert upload is not None, "the graph's parameters have gone"
        assert download is not None, "the graph's results have gone"
        self._device.step()
        self._device.bytes_of(upload)[:] = self.staged
        for one in self._launches:
            self._device.launch(*one)
        self.fetched[:] = self._device.bytes_of(download)
        return Done(self._device.step)


def captured(device: StandInDevice, upload: Buffer, launches: Sequence[Launch], download: Buffer) -> StagedGraph:
    """A `Graph` of a stand-in."""
    sequence = Recorded(device, upload, launches, download)
    return StagedGraph(sequence.run, sequence.staged, sequence.fetched)


class Moment:
    """A `Mark` by a clock that the test turns."""

    def __init__(self, now: float, step: Callable[[], None]) -> None:
        self.now, self._step = now, step

    def seconds_since(self, earlier: "Moment") -> float:
        self._step()
        return self.now - earlier.now
