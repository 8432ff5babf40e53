"""As much of CuPy 14 as `CupyDevice` uses, with CuPy's names and signatures, and a GPU that can be stopped and broken.

Work that is queued is done only when an event behind it is waited for, so what is changed or given away too early is
seen. Anything that CuPy does not have raises AttributeError or TypeError here; `test_cupy_device` compares signatures
with CuPy where that is installed.
"""

import itertools
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

OUT_OF_MEMORY = 2
CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED = 900, 901
HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2


class StatusError(RuntimeError):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"the driver's words for {status}")


class CUDARuntimeError(StatusError): ...


class CUDADriverError(StatusError): ...


class CompileException(Exception): ...


class OutOfMemoryError(MemoryError): ...


class Gpu:
    """The machine behind one fake module: set its attributes to make it another one."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.driver_version, self.capability, self.devices = 13_000, (9, 0), 1
        self.count_status = self.failing = 0
        self.pinned_status = 0
        self.attributes = {"MultiProcessorCount": 132, "MaxSharedMemoryPerBlockOptin": 232_448}
        self.free_memory = 1 << 20
        self.compiling: Exception | None = None
        self.queue: list[tuple[str, Callable[[], None]]] = []
        self.asked: list[str] = []
        self.modules: list[tuple[str, tuple[str, ...]]] = []
        self.kernels: dict[str, RawKernel] = {}
        self.memory: dict[int, bytearray] = {}
        self.blocks: weakref.WeakValueDictionary[int, PinnedMemoryPointer] = weakref.WeakValueDictionary()
        self.numbers = itertools.count(1)
        self.done = 0
        self.capturing: Stream | None = None
        self.captured: list[Callable[[], None]] = []
        self.is_capture_broken = False
        self.local = threading.local()

    def check(self, kind: type[StatusError] = CUDARuntimeError) -> None:
        if self.failing:
            raise kind(self.failing)

    def refuse_in_capture(self) -> None:
        """What a stream that captures cannot take ends the capture, too."""
        if self.capturing is not None:
            self.is_capture_broken = True
            raise CUDARuntimeError(CAPTURE_UNSUPPORTED)

    def enqueue(self, stream: "Stream", what: str, work: Callable[[], None]) -> int:
        assert stream.non_blocking
        if self.capturing is not None:
            assert stream is self.capturing, "work for another stream than the one that captures"
            self.captured.append(work)
            return 0
        self.asked.append(what)
        self.queue.append((what, work))
        return len(self.queue)

    def run(self, until: int) -> None:
        while self.done < until:
            self.queue[self.done][1]()
            self.done += 1

    def current(self) -> "Stream":
        assert self.local.devices, "no device is current in this thread"
        stream: Stream = self.local.streams[-1]
        return stream

    def at(self, address: int) -> tuple[bytearray, int]:
        base = max(base for base in self.memory if base <= address)
        return self.memory[base], address - base

    def write(self, address: int, content: bytes) -> None:
        memory, offset = self.at(address)
        assert offset + len(content) <= len(memory)
        memory[offset : offset + len(content)] = content

    def bytes_at(self, address: int, size: int) -> bytes:
        memory, offset = self.at(address)
        assert offset + size <= len(memory)
        return bytes(memory[offset : offset + size])


GPU = Gpu()


class Device:
    def __init__(self, device: int | None = None) -> None:
        GPU.check()
        self.id = device or 0

    @property
    def attributes(self) -> dict[str, int]:
        return GPU.attributes

    def __enter__(self) -> "Device":
        GPU.local.devices = [*getattr(GPU.local, "devices", []), self]
        return self

    def __exit__(self, *args: object) -> None:
        GPU.local.devices.pop()


class Stream:
    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        assert not null
        assert not ptds
        self.non_blocking, self.priority = non_blocking, priority
        self.ptr = next(GPU.numbers)

    def begin_capture(self, mode: int | None = None) -> None:
        assert mode is None
        GPU.check()
        assert GPU.capturing is None
        GPU.capturing, GPU.captured, GPU.is_capture_broken = self, [], False

    def end_capture(self) -> "Graph":
        assert GPU.capturing is self
        GPU.capturing = None
        GPU.check()
        if GPU.is_capture_broken:
            raise CUDARuntimeError(CAPTURE_INVALIDATED)
        return Graph(GPU.captured)

    def record(self, event: "Event | None" = None) -> "Event":
        GPU.check()
        assert GPU.capturing is None, "an event of a capture cannot be waited for"
        recorded = event or Event()
        recorded.behind = len(GPU.queue)
        GPU.asked.append("record")
        return recorded

    def __enter__(self) -> "Stream":
        assert GPU.local.devices, "a stream is entered in its device"
        GPU.local.streams = [*getattr(GPU.local, "streams", []), self]
        return self

    def __exit__(self, *args: object) -> None:
        GPU.local.streams.pop()


class Graph:
    def __init__(self, works: list[Callable[[], None]]) -> None:
        self.works = works

    def launch(self, stream: Stream | None = None) -> None:
        GPU.check()
        alive = weakref.ref(self)

        def run() -> None:
            graph = alive()
            assert graph is not None, "the graph has gone before it ran"
            for work in graph.works:
                work()

        GPU.enqueue(stream or GPU.current(), "graph", run)


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        assert not interprocess
        self.block, self.disable_timing = block, disable_timing
        self.behind: int | None = None

    @property
    def done(self) -> bool:
        assert self.behind is not None, "was never recorded"
        return GPU.done >= self.behind and not GPU.failing

    def synchronize(self) -> None:
        assert self.behind is not None, "was never recorded"
        GPU.refuse_in_capture()
        GPU.check()
        GPU.run(self.behind)


class PinnedMemoryPointer(bytearray):
    """CuPy's is no bytearray, but lends its memory as one does."""

    ptr: int

    def size(self) -> int:
        return len(self)


class PinnedMemoryPool:
    def __init__(self, allocator: object = None) -> None:
        assert allocator is None

    def malloc(self, size: int) -> PinnedMemoryPointer:
        GPU.refuse_in_capture()
        if GPU.pinned_status:
            raise CUDARuntimeError(GPU.pinned_status)
        block = PinnedMemoryPointer(b"\xee" * -(-size // 512) * 512)
        block.ptr = next(GPU.numbers)
        GPU.blocks[block.ptr] = block
        return block


class PooledMemory:
    def __init__(self, pool: "MemoryPool", ptr: int, size: int) -> None:
        self.pool, self.ptr, self.size = pool, ptr, size

    def __del__(self) -> None:
        self.pool.free[self.size] = [*self.pool.free.get(self.size, []), self.ptr]


class MemoryPool:
    def __init__(self, allocator: object = None) -> None:
        assert allocator is None
        self.free: dict[int, list[int]] = {}
        self.total = 0

    def malloc(self, size: int) -> "MemoryPointer":
        GPU.current()
        GPU.check()
        rounded = -(-size // 512) * 512
        if self.free.get(rounded):
            return MemoryPointer(PooledMemory(self, self.free[rounded].pop(), rounded), 0)
        GPU.refuse_in_capture()
        if self.total + rounded > GPU.free_memory:
            message = f"Out of memory allocating {size:,} bytes"
            raise OutOfMemoryError(message)
        base = 1 << 40 | self.total
        self.total += rounded
        GPU.memory[base] = bytearray(b"\xdd" * rounded)
        return MemoryPointer(PooledMemory(self, base, rounded), 0)

    def free_bytes(self) -> int:
        return sum(size * len(pieces) for size, pieces in self.free.items())


class MemoryPointer:
    def __init__(self, mem: PooledMemory, offset: int) -> None:
        self.mem, self.ptr = mem, mem.ptr + offset

    def __add__(self, offset: int) -> "MemoryPointer":
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    @staticmethod
    def refuse_in_capture() -> None:
        """CuPy looks itself, and gives no status."""
        if GPU.capturing is not None:
            message = "the current stream is capturing, so synchronous API calls are disabled"
            raise RuntimeError(message)

    def copy_from_host_async(self, mem: int, size: int, stream: Stream | None = None) -> None:
        self.refuse_in_capture()
        to = self.ptr
        GPU.check()
        GPU.enqueue(stream or GPU.current(), f"up {size}", lambda: GPU.write(to, bytes(GPU.blocks[mem][:size])))

    def copy_to_host_async(self, mem: int, size: int, stream: Stream | None = None) -> None:
        self.refuse_in_capture()
        of = self.ptr

        def copy() -> None:
            GPU.blocks[mem][:size] = GPU.bytes_at(of, size)

        GPU.check()
        GPU.enqueue(stream or GPU.current(), f"down {size}", copy)

    def copy_from_device_async(self, src: "MemoryPointer", size: int, stream: Stream | None = None) -> None:
        to, of = self.ptr, src.ptr
        GPU.check()
        GPU.enqueue(stream or GPU.current(), f"move {size}", lambda: GPU.write(to, GPU.bytes_at(of, size)))

    def memset_async(self, value: int, size: int, stream: Stream | None = None) -> None:
        to = self.ptr
        GPU.check()
        GPU.enqueue(stream or GPU.current(), f"set {size}", lambda: GPU.write(to, bytes([value]) * size))


class ndarray:
    def __init__(
        self,
        shape: tuple[int, int],
        dtype: Any = float,
        memptr: MemoryPointer | None = None,
        strides: object = None,
        order: str = "C",
    ) -> None:
        assert memptr is not None
        assert strides is None
        assert order == "C"
        GPU.current()
        self.memory, self.shape, self.pitch = memptr, shape, shape[1]
        self.dtype = dtype

    def __getitem__(self, part: tuple[slice, slice]) -> "ndarray":
        (low, high, _), (left, right, _) = (one.indices(length) for one, length in zip(part, self.shape, strict=True))
        found = ndarray((high - low, right - left), self.dtype, self.memory + 4 * (low * self.pitch + left))
        found.pitch = self.pitch
        return found

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        assert not options
        return types.SimpleNamespace(array=self, behind=GPU.current(), stream=stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """A millisecond for each piece of work."""
    assert not start_event.disable_timing
    assert not end_event.disable_timing
    assert start_event.done
    assert end_event.done
    assert start_event.behind is not None
    assert end_event.behind is not None
    return float(end_event.behind - start_event.behind)


def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
    GPU.check()
    host = src if kind == HOST_TO_DEVICE else dst
    if host not in GPU.blocks:  # pageable
        GPU.refuse_in_capture()
    assert GPU.capturing is None or stream == GPU.capturing.ptr, "a copy on another stream"

    def copy() -> None:
        if kind == HOST_TO_DEVICE:
            GPU.write(dst, bytes(GPU.blocks[src][:size]))
        else:
            GPU.blocks[dst][:size] = GPU.bytes_at(src, size)

    GPU.enqueue(GPU.current(), f"copy {size}", copy)


class RawKernel:
    def __init__(self, name: str) -> None:
        self.name, self.max_dynamic_shared_size_bytes = name, 48 << 10
        self.launched: list[tuple[Any, ...]] = []

    @property
    def shared_size_bytes(self) -> int:
        return 1_024

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        GPU.check(CUDADriverError)
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        GPU.enqueue(GPU.current(), self.name, lambda: self.launched.append((grid, block, args, shared_mem)))


class RawModule:
    def __init__(
        self,
        *,
        code: str | None = None,
        path: str | None = None,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: object = None,
        jitify: object = None,
    ) -> None:
        assert code is not None
        assert isinstance(options, tuple)
        assert backend == "nvrtc"
        assert not any((path, translate_cucomplex, enable_cooperative_groups, name_expressions, jitify))
        self.code = code
        GPU.modules.append((code, options))

    def get_function(self, name: str) -> RawKernel:
        if GPU.compiling is not None:
            raise GPU.compiling
        kernel = GPU.kernels[name] = RawKernel(name)
        return kernel


def _device_count() -> int:
    if GPU.count_status:
        raise CUDARuntimeError(GPU.count_status)
    return GPU.devices


def _device_properties(device: int) -> dict[str, Any]:
    assert device == 0
    return {"name": b"Some GPU", "major": GPU.capability[0], "minor": GPU.capability[1]}


def _memory_info() -> tuple[int, int]:
    GPU.current()
    return 5_000, 80_000


def module() -> types.ModuleType:
    """What `import cupy` gives, with a new GPU behind it."""
    GPU.reset()
    cupy = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        driverGetVersion=lambda: GPU.driver_version,
        runtimeGetVersion=lambda: 13_020,
        getDeviceCount=_device_count,
        getDeviceProperties=_device_properties,
        memGetInfo=_memory_info,
        memcpyAsync=memcpyAsync,
        memcpyHostToDevice=HOST_TO_DEVICE,
        memcpyDeviceToHost=DEVICE_TO_HOST,
    )
    cuda = types.SimpleNamespace(
        runtime=runtime,
        driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
        compiler=types.SimpleNamespace(CompileException=CompileException),
        get_elapsed_time=get_elapsed_time,
        **{kind.__name__: kind for kind in (Device, Stream, Event, MemoryPool, PinnedMemoryPool)},
    )
    vars(cupy).update(cuda=cuda, RawModule=RawModule, ndarray=ndarray)
    return cupy
