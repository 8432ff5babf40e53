"""What the engine asks of a GPU.

Invariant: everything asked of one `Device` happens in the order in which it was asked (one stream). So memory that a
search still reads may be given away and written to in what is asked later, and no call needs an event of its own.

Kernels take one argument: the address of a struct in device memory that holds all parameters (see `layout`).
A device is not thread-safe: whoever shares it keeps a lock. `Copy.wait` may be called from any thread, outside it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.columns import Column


class Buffer(Protocol):
    """Device memory: one allocation, given back when the object goes."""

    @property
    def address(self) -> int:
        """Where it begins; a multiple of 256."""
        ...

    @property
    def bytes(self) -> int:
        """Its size."""
        ...


class Copy(Protocol):
    """A copy to the host that is under way."""

    def wait(self) -> NDArray[np.uint8]:
        """The bytes, once they are there.

        Raises:
            DeviceLostError: The device failed before.

        """
        ...


class Launch(NamedTuple):
    """One kernel's run: the arguments of `Device.launch`."""

    kernel: str
    blocks: int
    threads: int
    shared_bytes: int
    argument: int


class Graph(Protocol):
    """An upload, launches and a download that are asked for at once: see `Device.capture`."""

    def replay(self, data: NDArray[np.uint8]) -> Copy | None:
        """Upload these bytes, launch, and begin the download.

        None where nothing was asked for, because bytes of the last replay are still awaited or under way: one graph
        serves one search at a time, and who finds it busy goes without.
        """
        ...


class Mark(Protocol):
    """A moment in the device's work."""

    def seconds_since(self, earlier: Any) -> float:  # noqa: ANN401 - another mark of the same device
        """Time from an earlier mark to this one, by the device's own clock; waits until it has come.

        Raises:
            DeviceLostError: The device failed before.

        """
        ...


class Device(Protocol):
    """One GPU. Any call raises DeviceLostError when the device has failed: nothing works on it again.

    Attributes:
        name: Model and driver, for people.
        multiprocessors: How many blocks of a persistent kernel it takes to fill it, or a multiple of that.

    """

    name: str
    multiprocessors: int

    def free_bytes(self) -> int:
        """Memory that can still be allocated."""
        ...

    def allocate(self, size_bytes: int) -> Buffer:
        """Zeroed memory.

        Raises:
            DeviceMemoryError: There is not so much left.

        """
        ...

    def write(self, buffer: Buffer, at_bytes: int, data: NDArray[Any]) -> None:
        """Copy a contiguous array to the device; the array may be changed on return."""
        ...

    def move(self, source: Buffer, target: Buffer, size_bytes: int) -> None:
        """Copy the first bytes of one buffer to another."""
        ...

    def read(self, buffer: Buffer, at_bytes: int, size_bytes: int) -> Copy:
        """Begin a copy to the host."""
        ...

    def launch(self, kernel: str, blocks: int, threads: int, shared_bytes: int, argument: int) -> None:
        """Run a kernel of `sources.KERNELS` with dynamic shared memory; `argument` is the address of its struct."""
        ...

    def capture(self, upload: Buffer, launches: Sequence[Launch], download: Buffer) -> Graph:
        """Capture a copy from the host to the beginning of `upload`, launches, and a copy of all of `download` back.

        Nothing runs before it is replayed. The graph holds addresses: whoever replays it keeps both buffers, and all
        that the launches point to.

        Raises:
            CaptureError: The driver captures no such thing; the device goes on working.
            DeviceMemoryError: There is no page-locked memory for it.

        """
        ...

    def mark(self) -> Mark:
        """The moment at which all that was asked before is done; does not wait for it."""
        ...

    def column(self, buffer: Buffer, at_bytes: int, rows: int, width: int) -> Column:
        """`[rows, width] float32` that lie there, which it keeps; read behind all that was asked before."""
        ...
