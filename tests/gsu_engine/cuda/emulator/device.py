"""A device that is not there: the project's kernels, compiled by g++, on threads that take turns.

What it does not show: speed, and any order of memory that this machine's compiler would not give either. What it shows
and hardware may hide: see `KernelError`, and memory that was written outside of what was allocated.
"""

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda import sources
from muse_stream.gsu_engine.cuda.device import Buffer, Launch
from muse_stream.gsu_engine.cuda.graph import StagedGraph
from muse_stream.gsu_engine.errors import DeviceLostError, DeviceMemoryError
from tests.gsu_engine.cuda.emulator.builder import KernelError, Library, build
from tests.gsu_engine.cuda.replays import Moment, captured

ALIGNED_BYTES = 256
ZONE_BYTES = 1024
ZONE = 0xA5
SHARED_BYTES_MAX = 99 << 10  # of a block, on the smallest devices that have the instructions (8.6, 8.9)
_ONE_LAUNCH = threading.Lock()  # signal handlers belong to the process


class EmulatedBuffer:
    """Memory between two zones of known bytes."""

    def __init__(self, size_bytes: int) -> None:
        self.bytes = size_bytes
        self._memory = np.zeros(size_bytes + 2 * ZONE_BYTES + ALIGNED_BYTES, np.uint8)
        start = -self._memory.ctypes.data % ALIGNED_BYTES
        self.data = self._memory[start + ZONE_BYTES : start + ZONE_BYTES + size_bytes]
        self._zones = (self._memory[: start + ZONE_BYTES], self._memory[start + ZONE_BYTES + size_bytes :])
        for zone in self._zones:
            zone[:] = ZONE
        self.address = self._memory.ctypes.data + start + ZONE_BYTES

    def overwritten(self) -> int | None:
        """The offset of a byte around it that was written to."""
        before, after = (np.flatnonzero(zone != ZONE) for zone in self._zones)
        if len(before):
            return int(before[-1]) - len(self._zones[0])
        return self.bytes + int(after[0]) if len(after) else None


class EmulatedCopy:
    """A copy that was made when it was asked for."""

    def __init__(self, device: "EmulatedDevice", data: NDArray[np.uint8]) -> None:
        self._device = device
        self._data = data

    def wait(self) -> NDArray[np.uint8]:
        """The bytes, unless the device was lost."""
        self._device.step()
        return self._data


class EmulatedDevice:
    """One GPU, played by the processor; the same seed gives the same order of everything.

    Attributes:
        launches: Kernels that ran, by name.
        captures: Graphs that were captured.

    """

    def __init__(
        self,
        seed: int = 0,
        *,
        memory_bytes: int = 1 << 30,
        multiprocessors: int = 2,
        shared_bytes_max: int = SHARED_BYTES_MAX,
        checked: bool = False,
        library: Library | None = None,
    ) -> None:
        """`library` takes the place of the project's own kernels; `checked` is slow: see `builder.build`."""
        self.name = "emulated"
        self.multiprocessors = multiprocessors
        self.launches: dict[str, int] = {}
        self.captures = 0
        self._seed = seed
        self._memory_bytes = memory_bytes
        self._shared_bytes_max = shared_bytes_max
        self._checked = checked
        self._library = library
        self._buffers: weakref.WeakSet[EmulatedBuffer] = weakref.WeakSet()
        self._calls_left: int | None = None

    def fail_after(self, calls: int) -> None:
        """Be lost after so many more calls, those of `Copy.wait` included; for good."""
        self._calls_left = calls

    def free_bytes(self) -> int:
        """Memory that can still be allocated."""
        self.step()
        return self._free()

    def allocate(self, size_bytes: int) -> Buffer:
        """Zeroed memory.

        Raises:
            DeviceMemoryError: There is not so much left.
            DeviceLostError: It was lost on purpose.

        """
        self.step()
        if size_bytes > self._free():
            message = f"{size_bytes} bytes of {self._free()}"
            raise DeviceMemoryError(message)
        buffer = EmulatedBuffer(size_bytes)
        self._buffers.add(buffer)
        return buffer

    def write(self, buffer: Buffer, at_bytes: int, data: NDArray[Any]) -> None:
        """Copy a contiguous array to the device."""
        self.step()
        assert data.flags.c_contiguous, "a copy of an array that is not contiguous"
        self._part(buffer, at_bytes, data.nbytes)[:] = data.reshape(-1).view(np.uint8)

    def move(self, source: Buffer, target: Buffer, size_bytes: int) -> None:
        """Copy the first bytes of one buffer to another."""
        self.step()
        self._part(target, 0, size_bytes)[:] = self._part(source, 0, size_bytes)

    def read(self, buffer: Buffer, at_bytes: int, size_bytes: int) -> EmulatedCopy:
        """Copy to the host."""
        self.step()
        return EmulatedCopy(self, self._part(buffer, at_bytes, size_bytes).copy())

    def launch(self, kernel: str, blocks: int, threads: int, shared_bytes: int, argument: int) -> None:
        """Run a kernel to its end.

        Raises:
            KernelError: It did what it must not, or wrote outside of its buffers.
            DeviceLostError: It was lost on purpose.

        """
        self.step()
        if shared_bytes > self._shared_bytes_max:
            message = f"kernel {kernel}: {shared_bytes} bytes of shared memory, of at most {self._shared_bytes_max}"
            raise KernelError(message)
        library = self._library_of(kernel)
        order = 1 + sum(self.launches.values())
        self.launches[kernel] = self.launches.get(kernel, 0) + 1
        with _ONE_LAUNCH:
            library.set_buffers(self._ranges())
            library.launch(kernel, blocks, threads, shared_bytes, argument, seed=self._seed * 1_000_003 + order)
        self._check_zones(kernel)

    def capture(self, upload: Buffer, launches: Sequence[Launch], download: Buffer) -> StagedGraph:
        """See `replays`."""
        self.step()
        self.captures += 1
        return captured(self, upload, launches, download)

    def bytes_of(self, buffer: Buffer) -> NDArray[np.uint8]:
        """The memory of a buffer."""
        return self._part(buffer, 0, buffer.bytes)

    def mark(self) -> Moment:
        """A moment of no clock: nothing about time can be learnt here."""
        self.step()
        return Moment(0.0, self.step)

    def column(self, buffer: Buffer, at_bytes: int, rows: int, width: int) -> Any:
        """Rows, as a view."""
        self.step()
        return self._part(buffer, at_bytes, 4 * rows * width).view(np.float32).reshape(rows, width)

    def _library_of(self, kernel: str) -> Library:
        if self._library is not None:
            return self._library
        return build(sources.text_of(sources.KERNELS[kernel]), checked=self._checked)

    def _ranges(self) -> NDArray[np.uint64]:
        ranges = sorted((buffer.address, buffer.address + buffer.bytes) for buffer in self._buffers)
        return np.array(ranges, np.uint64).reshape(-1, 2)

    def _check_zones(self, kernel: str) -> None:
        for buffer in self._buffers:
            at = buffer.overwritten()
            if at is not None:
                message = f"kernel {kernel} wrote to byte {at} of a buffer of {buffer.bytes} bytes"
                raise KernelError(message)

    def _part(self, buffer: Buffer, at_bytes: int, size_bytes: int) -> NDArray[np.uint8]:
        assert isinstance(buffer, EmulatedBuffer)
        assert 0 <= at_bytes <= at_bytes + size_bytes <= buffer.bytes, "a copy outside of its buffer"
        return buffer.data[at_bytes : at_bytes + size_bytes]

    def _free(self) -> int:
        return self._memory_bytes - sum(buffer.bytes for buffer in self._buffers)

    def step(self) -> None:
        if self._calls_left is None:
            return
        if self._calls_left <= 0:
            message = "lost on purpose"
            raise DeviceLostError(message)
        self._calls_left -= 1
