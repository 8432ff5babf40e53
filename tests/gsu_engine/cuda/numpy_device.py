"""A stand-in for a GPU that needs none: buffers are NumPy arrays, and kernels are small NumPy functions.

Addresses are made up and never given twice, with room between buffers: whatever reads or writes outside a live buffer
is found at once. `KERNELS` says what a launch does: a function of the device and the address of the kernel's struct.

The work inside one launch may happen in any order on a GPU, so the functions here take it in a random one.
"""

import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda.device import Launch
from muse_stream.gsu_engine.cuda.graph import StagedGraph
from muse_stream.gsu_engine.cuda.layout import APPEND, FILL, LINK, RUN
from muse_stream.gsu_engine.errors import CaptureError, DeviceLostError, DeviceMemoryError
from tests.gsu_engine.cuda.replays import Moment, captured

ALIGNED_BYTES = 256
PAGE = 512


class NumpyBuffer:
    """`Buffer`, with its content."""

    def __init__(self, address: int, size_bytes: int) -> None:
        self.address = address
        self.bytes = size_bytes
        self.content = np.zeros(size_bytes, np.uint8)


class NumpyCopy:
    """`Copy`: done when it was asked for, but the device may be lost before anyone waits for it."""

    def __init__(self, device: "NumpyDevice", content: NDArray[np.uint8]) -> None:
        self._device = device
        self._content = content

    def wait(self) -> NDArray[np.uint8]:
        self._device.step()
        return self._content


class NumpyDevice:
    """`Device` on NumPy.

    Attributes:
        launches: Names of the kernels that ran, in order.
        uploads: Calls of `write`.
        captures: Graphs that were captured.
        refuses_capture: Whether no more are.
        seconds: The device's clock; nothing but a test moves it.

    """

    def __init__(self, *, memory_bytes: int = 1 << 30, multiprocessors: int = 2) -> None:
        self.name = "NumPy"
        self.multiprocessors = multiprocessors
        self.launches: list[str] = []
        self.uploads = self.captures = 0
        self.refuses_capture = False
        self.seconds = 0.0
        self.rng = np.random.default_rng(0)
        self._memory_bytes = memory_bytes
        self._next = 1 << 40
        self._live: dict[int, weakref.ref[NumpyBuffer]] = {}
        self._left: int | None = None

    def fail_after(self, calls: int) -> None:
        """So many more calls succeed, and none after them."""
        self._left = calls

    def step(self) -> None:
        """One call."""
        if self._left == 0:
            message = "the test took the device away"
            raise DeviceLostError(message)
        if self._left is not None:
            self._left -= 1

    def free_bytes(self) -> int:
        self.step()
        return self._memory_bytes - sum(buffer.bytes for buffer in self._buffers())

    def allocate(self, size_bytes: int) -> NumpyBuffer:
        if size_bytes > self.free_bytes():
            message = f"{size_bytes} bytes asked for, {self.free_bytes()} left"
            raise DeviceMemoryError(message)
        buffer = NumpyBuffer(self._next, size_bytes)
        self._next += (size_bytes // ALIGNED_BYTES + 2) * ALIGNED_BYTES
        self._live[buffer.address] = weakref.ref(buffer)
        return buffer

    def write(self, buffer: Any, at_bytes: int, data: NDArray[Any]) -> None:
        self.step()
        self.uploads += 1
        assert data.flags.c_contiguous
        flat = data.reshape(-1).view(np.uint8)
        self.view(buffer.address + at_bytes, np.uint8, len(flat))[:] = flat

    def move(self, source: Any, target: Any, size_bytes: int) -> None:
        self.step()
        self.view(target.address, np.uint8, size_bytes)[:] = self.view(source.address, np.uint8, size_bytes)

    def read(self, buffer: Any, at_bytes: int, size_bytes: int) -> NumpyCopy:
        self.step()
        return NumpyCopy(self, self.view(buffer.address + at_bytes, np.uint8, size_bytes).copy())

    def launch(self, kernel: str, blocks: int, threads: int, shared_bytes: int, argument: int) -> None:
        self.step()
        assert blocks > 0
        assert threads in range(32, 1_025, 32)
        assert 0 <= shared_bytes <= 227 << 10
        self.launches.append(kernel)
        KERNELS[kernel](self, argument)

    def capture(self, upload: Any, launches: Sequence[Launch], download: Any) -> StagedGraph:
        self.step()
        self.captures += 1
        if self.refuses_capture:
            message = "the test refuses"
            raise CaptureError(message)
        return captured(self, upload, launches, download)

    def bytes_of(self, buffer: Any) -> NDArray[np.uint8]:
        return self.view(buffer.address, np.uint8, buffer.bytes)

    def mark(self) -> Moment:
        self.step()
        return Moment(self.seconds, self.step)

    def column(self, buffer: Any, at_bytes: int, rows: int, width: int) -> Any:
        self.step()
        return self.view(buffer.address + at_bytes, np.float32, rows * width).reshape(rows, width)

    def view(self, address: int, dtype: Any, count: int) -> NDArray[Any]:
        """Memory of a live buffer as `[count]` of a dtype, not a copy."""
        dtype = np.dtype(dtype)
        starts = sorted(self._live)
        at = bisect_right(starts, address) - 1
        buffer = self._live[starts[at]]() if at >= 0 else None
        assert buffer is not None, f"no live buffer at {address:#x}"
        low = address - buffer.address
        high = low + count * dtype.itemsize
        assert high <= buffer.bytes, f"{low}..{high} of a buffer of {buffer.bytes} bytes"
        assert address % dtype.alignment == 0, f"{address:#x} is not aligned for {dtype}"
        return buffer.content[low:high].view(dtype)

    def struct(self, address: int, dtype: np.dtype[Any]) -> Any:
        """The struct there: fields by name, numbers as Python's."""
        assert address % 16 == 0
        return dict(zip(dtype.names or (), self.view(address, dtype, 1)[0].item(), strict=True))

    def _buffers(self) -> list[NumpyBuffer]:
        found = {address: reference() for address, reference in self._live.items()}
        self._live = {address: self._live[address] for address, buffer in found.items() if buffer is not None}
        return [buffer for buffer in found.values() if buffer is not None]


def append(device: NumpyDevice, argument: int) -> None:
    """As the kernel of that name; no page may be written twice, as the order is anybody's guess."""
    work = device.struct(argument, APPEND)
    runs = device.view(work["runs"], RUN, work["run_count"])
    links = device.view(work["links"], LINK, work["link_count"])
    assert len(np.unique(runs["to"] // PAGE)) == len(runs), "a page is written for two users"
    assert len(np.unique(links["at"])) == len(links)
    assert len(np.unique(links["page"])) == len(links), "a page is given to two users"
    for to, first, count in device.rng.permutation(runs):
        assert to >= PAGE
        assert to % PAGE + count <= PAGE
        assert count > 0
        slots = device.view(work["slots"] + 4 * int(first), np.uint32, int(count))
        device.view(work["pages"] + 4 * int(to), np.uint32, int(count))[:] = slots
    for at, page in device.rng.permutation(links):
        device.view(work["page_table"] + 4 * int(at), np.uint32, 1)[0] = page


def fill(device: NumpyDevice, argument: int) -> None:
    """As the kernel of that name."""
    work = device.struct(argument, FILL)
    count, width = work["count"], work["width"]
    slots = device.view(work["slots"], np.uint32, count)
    rows = device.view(work["rows"], np.int8, count * width).reshape(count, width)
    norms = device.view(work["norms"], np.float32, count)
    assert len(np.unique(slots)) == count, "a slot is sent twice"
    assert work["rows"] % 16 == work["vectors"] % 16 == width % 64 == 0
    for i in device.rng.permutation(count).tolist():
        device.view(work["vectors"] + width * int(slots[i]), np.int8, width)[:] = rows[i]
        device.view(work["inv_norms"] + 4 * int(slots[i]), np.float32, 1)[0] = norms[i]


KERNELS: dict[str, Callable[[NumpyDevice, int], None]] = {"append": append, "fill": fill}
