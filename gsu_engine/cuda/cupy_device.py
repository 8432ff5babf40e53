"""A `Device` through CuPy: one stream, memory from a pool of its own, page-locked memory on the host's side.

Invariants:
* All work goes to one non-blocking stream. CuPy's current device and stream belong to a thread, and so does each call.
* Device memory comes from CuPy's pool, which keeps free memory by the stream that it was allocated on: what is dropped
  is given out again only to later work on that stream, so work that is queued may still use it.
* A page-locked block is held until the event behind its copy has come, then goes back to a pool. A graph's blocks are
  its own, and held, with the graph, until the event behind its last replay has come.
* Kernels are compiled when the device is opened, and kept on disk by CuPy (`CUPY_CACHE_DIR`).
"""

import contextlib
import importlib
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda import sources
from muse_stream.gsu_engine.cuda.cupy_errors import NO_DEVICE, OLD_DRIVER, capture_translated, translated
from muse_stream.gsu_engine.cuda.cupy_views import CupyColumn, CupyMark
from muse_stream.gsu_engine.cuda.device import Buffer, Launch
from muse_stream.gsu_engine.cuda.graph import StagedGraph
from muse_stream.gsu_engine.errors import BackendError, DeviceLostError, DeviceMemoryError

CAPABILITY = (8, 0)  # the first with cp.async and with mma.m16n8k32 on int8
PIECE_BYTES = 1 << 24  # an upload goes through page-locked memory in pieces of this size
UNDER_WAY_BYTES = 1 << 26  # with so much of it in use, the next copy waits for the oldest
COMPILING = threading.Lock()


@dataclass(frozen=True, slots=True)
class CupyBuffer:
    """A piece of the pool."""

    memory: Any  # cupy.cuda.MemoryPointer
    bytes: int

    @property
    def address(self) -> int:
        """Where it begins; a multiple of 512."""
        return int(self.memory.ptr)


class CupyCopy:
    """A copy to page-locked memory, and the event behind it."""

    def __init__(self, event: Any, content: NDArray[np.uint8]) -> None:  # noqa: ANN401 - cupy.cuda.Event
        self._event, self._content = event, content

    def wait(self) -> NDArray[np.uint8]:
        """The bytes, once they are there: page-locked memory, so copy what is kept. Other threads run meanwhile.

        Raises:
            DeviceLostError: The device failed before.

        """
        with translated():
            self._event.synchronize()
        return self._content


class CupyDevice:
    """The current device of CuPy. Not thread-safe, but no call has to come from the thread that made it."""

    def __init__(self, cupy: ModuleType) -> None:
        """Take a device that `open_device` has found fit, and compile all kernels for it.

        Raises:
            BackendError: A kernel cannot be compiled; the text says why.
            DeviceLostError, DeviceMemoryError: The device fails at once.

        """
        with translated():
            self._cuda, self._array = cupy.cuda, cupy.ndarray
            self._device = cupy.cuda.Device()
            self._stream = cupy.cuda.Stream(non_blocking=True)
            self._memory = cupy.cuda.MemoryPool()
            self._host_memory = cupy.cuda.PinnedMemoryPool()
            self._under_way: deque[tuple[Any, Any, int]] = deque()  # events, what they hold, and its bytes
            self._under_way_bytes = 0
            self.name, self.multiprocessors = _description(cupy), int(self._device.attributes["MultiProcessorCount"])
        with self.current():
            self._kernels = _compiled(cupy, int(self._device.attributes["MaxSharedMemoryPerBlockOptin"]))

    @property
    def stream(self) -> Any:  # noqa: ANN401 - cupy.cuda.Stream
        """The one that all work goes to: for events of one's own, and for arrays that others hand over."""
        return self._stream

    def free_bytes(self) -> int:
        """Memory that can still be allocated, though perhaps not in one piece."""
        with self.current():
            free, _ = self._cuda.runtime.memGetInfo()
            return int(free) + int(self._memory.free_bytes())

    def allocate(self, size_bytes: int) -> CupyBuffer:
        """See `Device.allocate`."""
        with self.current():
            buffer = CupyBuffer(self._memory.malloc(size_bytes), size_bytes)
            buffer.memory.memset_async(0, size_bytes, self._stream)
        return buffer

    def write(self, buffer: Buffer, at_bytes: int, data: NDArray[Any]) -> None:
        """See `Device.write`."""
        content = data.reshape(-1).view(np.uint8)
        with self.current():
            for low in range(0, len(content), PIECE_BYTES):
                piece = content[low : low + PIECE_BYTES]
                block, staged = self._block(len(piece))
                staged[:] = piece
                self._part(buffer, at_bytes + low).copy_from_host_async(block.ptr, len(piece), self._stream)
                self._hold(block, block.size())

    def move(self, source: Buffer, target: Buffer, size_bytes: int) -> None:
        """See `Device.move`."""
        with self.current():
            self._part(target, 0).copy_from_device_async(self._part(source, 0), size_bytes, self._stream)

    def read(self, buffer: Buffer, at_bytes: int, size_bytes: int) -> CupyCopy:
        """See `Device.read`."""
        with self.current():
            block, content = self._block(size_bytes)
            self._part(buffer, at_bytes).copy_to_host_async(block.ptr, size_bytes, self._stream)
            return CupyCopy(self._hold(block, block.size()), content)

    def launch(self, kernel: str, blocks: int, threads: int, shared_bytes: int, argument: int) -> None:
        """See `Device.launch`."""
        with self.current():
            self._launch(Launch(kernel, blocks, threads, shared_bytes, argument))

    def _launch(self, one: Launch) -> None:
        grid, block = (one.blocks,), (one.threads,)
        self._kernels[one.kernel](grid, block, (np.uint64(one.argument),), shared_mem=one.shared_bytes)

    def capture(self, upload: Buffer, launches: Sequence[Launch], download: Buffer) -> StagedGraph:
        """See `Device.capture`.

        Copies are the runtime's own here: CuPy's refuse while its stream captures. The capture is relaxed, CuPy's
        default: it records this stream alone, and nothing that other threads or Python's collector do meanwhile, not
        even giving memory back to the driver, can make it fail.
        """
        runtime, stream = self._cuda.runtime, self._stream
        with self.current():
            up, staged = self._block(upload.bytes)
            down, fetched = self._block(download.bytes)
            with capture_translated():
                stream.begin_capture()
                try:
                    runtime.memcpyAsync(upload.address, up.ptr, upload.bytes, runtime.memcpyHostToDevice, stream.ptr)
                    for one in launches:
                        self._launch(one)
                    kind = runtime.memcpyDeviceToHost
                    runtime.memcpyAsync(down.ptr, download.address, download.bytes, kind, stream.ptr)
                except BaseException:
                    with contextlib.suppress(RuntimeError):  # it ends all the same
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
        return StagedGraph(lambda: self._replay(graph, up, down), staged, fetched)

    def _replay(self, graph: Any, up: Any, down: Any) -> Any:  # noqa: ANN401 - cupy.cuda.Graph, blocks, cupy.cuda.Event
        with self.current():
            self._let_go()
            graph.launch(self._stream)
            return self._hold((graph, up, down), up.size() + down.size())

    def mark(self) -> CupyMark:
        """See `Device.mark`."""
        with self.current():
            return CupyMark(self._cuda, self._stream.record())

    def column(self, buffer: Buffer, at_bytes: int, rows: int, width: int) -> CupyColumn:
        """See `Device.column`."""
        with self.current():
            part = self._part(buffer, at_bytes)
            return CupyColumn(self.current, self._array((rows, width), np.float32, part))

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """This device and its stream are the thread's own inside; errors leave as ours."""
        with translated(), self._device, self._stream:
            yield

    def _part(self, buffer: Buffer, at_bytes: int) -> Any:  # noqa: ANN401 - cupy.cuda.MemoryPointer
        if not isinstance(buffer, CupyBuffer):
            message = f"a buffer of another device: {type(buffer).__name__}"
            raise TypeError(message)
        return buffer.memory + at_bytes

    def _block(self, size_bytes: int) -> tuple[Any, NDArray[np.uint8]]:
        """A page-locked block that nothing uses, and its first bytes as an array."""
        self._let_go()
        block = self._host_memory.malloc(max(size_bytes, 1))  # it gives no block for 0 bytes
        return block, np.frombuffer(block, np.uint8)[:size_bytes]

    def _let_go(self) -> None:
        """Of what the device has done with; of more, where too much is held."""
        while self._under_way and (self._under_way_bytes > UNDER_WAY_BYTES or self._under_way[0][0].done):
            event, _, size_bytes = self._under_way.popleft()
            event.synchronize()
            self._under_way_bytes -= size_bytes

    def _hold(self, held: Any, size_bytes: int) -> Any:  # noqa: ANN401 - anything to cupy.cuda.Event
        """Keep page-locked memory from going until what was asked for last is done; the event that tells."""
        # A thread that waits sleeps (block): spinning would take a core from the search of others.
        event = self._stream.record(self._cuda.Event(block=True, disable_timing=True))
        self._under_way.append((event, held, size_bytes))
        self._under_way_bytes += size_bytes
        return event


def open_device() -> CupyDevice:
    """CuPy's current device.

    Raises:
        BackendError: CuPy, the driver, a device or the compiler is missing or too old; the text says which.

    """
    cupy = _cupy()
    _require_device(cupy)
    try:
        return CupyDevice(cupy)
    except (DeviceLostError, DeviceMemoryError) as error:
        message = f"cuda: the device fails at once ({error})"
        raise BackendError(message) from error


def _cupy() -> ModuleType:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        message = f"cuda: CuPy cannot be imported ({error}): install the extra `cuda`"
        raise BackendError(message) from error
    except OSError as error:
        message = f"cuda: CuPy cannot be imported ({error}): set CUPY_CACHE_DIR to a folder that it may write to"
        raise BackendError(message) from error


def _require_device(cupy: ModuleType) -> None:
    """Find a driver, a device, and what it can do."""
    runtime = cupy.cuda.runtime
    driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion() // 1_000
    if driver == 0:
        message = "cuda: no NVIDIA driver"
        raise BackendError(message)
    try:
        if runtime.getDeviceCount() == 0:
            message = "cuda: no device is visible (see CUDA_VISIBLE_DEVICES)"
            raise BackendError(message)
        properties = runtime.getDeviceProperties(cupy.cuda.Device().id)
    except runtime.CUDARuntimeError as error:
        reasons = {
            OLD_DRIVER: f"the driver is for CUDA {_version(driver)}, CUDA {needed}.0 is needed",
            NO_DEVICE: "no device is visible (see CUDA_VISIBLE_DEVICES)",
        }
        message = f"cuda: {reasons.get(error.status, 'no usable device')} ({error})"
        raise BackendError(message) from error
    capability = properties["major"], properties["minor"]
    if capability < CAPABILITY:
        found, least = (".".join(map(str, each)) for each in (capability, CAPABILITY))
        message = f"cuda: {properties['name'].decode()} has compute capability {found}, {least} is needed"
        raise BackendError(message)


def _description(cupy: ModuleType) -> str:
    runtime = cupy.cuda.runtime
    model = runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
    return f"{model}, driver for CUDA {_version(runtime.driverGetVersion())}"


def _version(number: int) -> str:
    return f"{number // 1_000}.{number % 1_000 // 10}"


def _compiled(cupy: ModuleType, shared_bytes_max: int) -> dict[str, Any]:
    """All kernels, `cupy.RawKernel` by name, each allowed all the shared memory that a block can have."""
    kernels = {}
    try:
        with COMPILING:
            for name, unit in sources.KERNELS.items():
                kernel = cupy.RawModule(code=sources.text_of(unit), options=sources.OPTIONS).get_function(name)
                kernel.max_dynamic_shared_size_bytes = shared_bytes_max - kernel.shared_size_bytes
                kernels[name] = kernel
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError):
        raise
    except OSError as error:
        message = (
            f"cuda: kernels cannot be kept on disk ({error}): set CUPY_CACHE_DIR to a folder that may be written to"
        )
        raise BackendError(message) from error
    except (cupy.cuda.compiler.CompileException, RuntimeError) as error:
        message = (
            f"cuda: kernels cannot be compiled ({error}): NVRTC and CUDA's headers come with a GPU build of PyTorch, "
            "with `cupy-cuda13x[ctk]` or with a CUDA toolkit"
        )
        raise BackendError(message) from error
    return kernels
