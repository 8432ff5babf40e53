"""What the engine asks of a GPU.

Invariant: everything asked of one `Device` happens in the order in which it was asked (one stream). So memory that a
search still reads may be given away and written to in what is asked later, and no call needs an event of its own.

Kernels take one argument: the address of a struct in device memory that holds all parameters (see `layout`).
A device is not thread-safe: whoever shares it keeps a lock. `Copy.wait` may be called from any thread, outside it.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


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
