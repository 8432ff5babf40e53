"""The device through CuPy: order, page-locked memory, errors, reasons; and the same on a GPU where there is one."""

import gc
import importlib
import inspect
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_stream.gsu_engine import BackendError
from muse_stream.gsu_engine.cuda import cupy_device, cupy_errors, sources
from muse_stream.gsu_engine.cuda.cupy_device import CupyDevice, open_device
from muse_stream.gsu_engine.cuda.device import Buffer, Device
from muse_stream.gsu_engine.errors import DeviceLostError, DeviceMemoryError
from tests.gsu_engine.cuda import fake_cupy
from tests.gsu_engine.cuda.fake_cupy import GPU

LAUNCH_FAILED = 719


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.ModuleType:
    """The stand-in, and two kernels for it."""
    (tmp_path / "first.cu").write_text("// one\n", encoding="utf-8")
    (tmp_path / "second.cu").write_text("// other\n", encoding="utf-8")
    monkeypatch.setattr(sources, "FOLDER", tmp_path)
    monkeypatch.setattr(sources, "KERNELS", {"begin": "first", "end": "second"})
    module = fake_cupy.module()
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.fixture
def device(cupy: types.ModuleType) -> CupyDevice:
    assert cupy.cuda
    return open_device()


def content(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, count).astype(np.uint8)


def test_it_says_what_it_is(device: Device) -> None:
    assert device.name == "Some GPU, driver for CUDA 13.0"
    assert device.multiprocessors == 132


def test_all_work_is_queued_on_one_stream_in_the_order_in_which_it_was_asked(device: Device) -> None:
    buffer = device.allocate(600)
    device.write(buffer, 100, content(30))
    device.launch("begin", 7, 128, 2_048, buffer.address)
    copy = device.read(buffer, 90, 50)
    assert GPU.asked == ["set 600", "up 30", "record", "begin", "down 50", "record"]
    assert GPU.done == 0, "nothing was waited for"
    assert copy.wait().tolist() == [0] * 10 + content(30).tolist() + [0] * 10
    assert GPU.done == 4


def test_a_kernel_gets_its_grid_its_shared_memory_and_an_address_of_64_bits(device: Device) -> None:
    device.launch("end", 1_000, 256, 99_000, (1 << 47) + 5)
    GPU.run(1)
    ((grid, block, arguments, shared_bytes),) = GPU.kernels["end"].launched
    assert (grid, block, shared_bytes) == ((1_000,), (256,), 99_000)
    assert [(argument.dtype, int(argument)) for argument in arguments] == [(np.uint64, (1 << 47) + 5)]


def test_kernels_are_compiled_at_once_from_their_unit_with_our_options(device: Device) -> None:
    assert device
    assert GPU.modules == [("// one\n", sources.OPTIONS), ("// other\n", sources.OPTIONS)]
    limits = {name: kernel.max_dynamic_shared_size_bytes for name, kernel in GPU.kernels.items()}
    assert limits == {"begin": 232_448 - 1_024, "end": 232_448 - 1_024}


def test_what_was_written_may_change_on_return(device: Device) -> None:
    buffer, data = device.allocate(512), content(512)
    device.write(buffer, 0, data)
    data[:] = 0
    assert np.array_equal(device.read(buffer, 0, 512).wait(), content(512))


def test_arrays_of_any_shape_and_type_are_written_as_their_bytes(device: Device) -> None:
    buffer = device.allocate(512)
    struct = np.zeros(2, np.dtype([("at", "<u8"), ("page", "<u4")], align=True))
    struct["page"] = 3, 4
    device.write(buffer, 0, struct)
    device.write(buffer, 64, np.arange(6, dtype=np.uint32).reshape(2, 3))
    found = device.read(buffer, 0, 512).wait()
    assert found[:32].view(struct.dtype)["page"].tolist() == [3, 4]
    assert found[64:88].view(np.uint32).tolist() == [0, 1, 2, 3, 4, 5]


def test_nothing_to_write_asks_for_nothing(device: Device) -> None:
    buffer = device.allocate(512)
    device.write(buffer, 0, np.zeros(0, np.uint32))
    assert GPU.asked == ["set 512"]
    assert len(device.read(buffer, 0, 0).wait()) == 0


def test_memory_moves_on_the_device(device: Device) -> None:
    source, target = device.allocate(512), device.allocate(1_024)
    device.write(source, 0, content(512))
    device.move(source, target, 300)
    assert device.read(target, 0, 301).wait().tolist() == [*content(300).tolist(), 0]
    assert not any("down" in what for what in GPU.asked[:-2])


def test_staging_is_held_until_the_event_behind_its_copy(device: Device) -> None:
    buffer = device.allocate(512)
    device.write(buffer, 0, content(512))
    device.write(buffer, 0, content(512, seed=1))
    assert len(GPU.blocks) == 2
    GPU.run(2)  # the first copy, not the second
    copy = device.read(buffer, 0, 512)
    assert len(GPU.blocks) == 2, "the second, and that of the read"
    assert np.array_equal(copy.wait(), content(512, seed=1))


def test_a_copy_that_nobody_waits_for_keeps_its_memory_until_it_is_done(device: Device) -> None:
    buffer = device.allocate(512)
    copy = device.read(buffer, 0, 512)
    del copy
    assert len(GPU.blocks) == 1
    GPU.run(2)
    device.write(buffer, 0, content(8))
    assert len(GPU.blocks) == 1, "that of the write"


def test_bytes_that_were_read_stay_as_long_as_somebody_has_them(device: Device) -> None:
    buffer = device.allocate(512)
    device.write(buffer, 0, content(512))
    found = device.read(buffer, 0, 512).wait()
    for seed in range(5):
        device.write(buffer, 0, content(512, seed))
        device.read(buffer, 0, 512).wait()
    assert np.array_equal(found, content(512))


def test_a_large_array_goes_up_in_pieces_and_waits_for_the_oldest(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cupy_device, "PIECE_BYTES", 512)
    monkeypatch.setattr(cupy_device, "UNDER_WAY_BYTES", 1_024)
    buffer = device.allocate(5_000)
    device.write(buffer, 8, content(4_900))
    assert len(GPU.blocks) == 3
    assert GPU.done >= 7, "there was never more under way"
    assert np.array_equal(device.read(buffer, 0, 5_000).wait()[8:4_908], content(4_900))


def test_memory_that_was_dropped_is_given_out_again_behind_the_work_that_reads_it(device: Device) -> None:
    first = device.allocate(512)
    device.write(first, 0, content(512))
    copy, address = device.read(first, 0, 512), first.address
    del first
    gc.collect()
    second = device.allocate(512)
    assert second.address == address
    fresh = device.read(second, 0, 512)
    assert not fresh.wait().any(), "zeroed again"
    assert np.array_equal(copy.wait(), content(512))


def test_free_memory_is_that_of_the_device_and_that_of_the_pool(device: Device) -> None:
    assert device.free_bytes() == 5_000
    buffer = device.allocate(1_000)
    assert buffer.bytes == 1_000
    del buffer
    assert device.free_bytes() == 5_000 + 1_024


def test_a_buffer_of_another_device_is_refused(device: Device) -> None:
    class Foreign:
        address = 0
        bytes = 10

    foreign: Buffer = Foreign()
    with pytest.raises(TypeError, match="Foreign"):
        device.write(foreign, 0, content(1))


def test_any_thread_may_call_and_keeps_what_was_current_before(device: Device) -> None:
    buffer, found = device.allocate(512), []

    def work() -> None:
        device.write(buffer, 0, content(512))
        found.append(device.read(buffer, 0, 512).wait())
        assert (GPU.local.devices, GPU.local.streams) == ([], [])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert np.array_equal(found[0], content(512))
    assert (GPU.local.devices, GPU.local.streams) == ([], [])


def test_too_little_memory_is_told_and_the_device_lives_on(device: Device) -> None:
    with pytest.raises(DeviceMemoryError, match="Out of memory allocating 9,000,000 bytes"):
        device.allocate(9_000_000)
    buffer = device.allocate(512)
    GPU.pinned_status = fake_cupy.OUT_OF_MEMORY
    with pytest.raises(DeviceMemoryError, match="words for 2"):
        device.write(buffer, 0, content(5))


CALLS: dict[str, Callable[[Device, Buffer], object]] = {
    "allocate": lambda device, _buffer: device.allocate(512),
    "write": lambda device, buffer: device.write(buffer, 0, content(5)),
    "move": lambda device, buffer: device.move(buffer, buffer, 5),
    "read": lambda device, buffer: device.read(buffer, 0, 5),
    "launch": lambda device, buffer: device.launch("begin", 1, 32, 0, buffer.address),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_failure_in_flight_is_told_in_the_drivers_words(device: Device, call: str) -> None:
    buffer = device.allocate(512)
    GPU.failing = LAUNCH_FAILED
    with pytest.raises(DeviceLostError, match="the driver's words for 719"):
        CALLS[call](device, buffer)
    assert (GPU.local.devices, GPU.local.streams) == ([], [])


def test_a_failure_comes_to_those_who_wait(device: Device) -> None:
    copy = device.read(device.allocate(512), 0, 512)
    GPU.failing = LAUNCH_FAILED
    with pytest.raises(DeviceLostError, match="words for 719"):
        copy.wait()


def _raise(error: Exception) -> Callable[[str], types.ModuleType]:
    def import_module(name: str) -> types.ModuleType:
        assert name == "cupy"
        raise error

    return import_module


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ImportError("No module named 'cupy'"), r"cannot be imported \(No module named 'cupy'\): .* extra `cuda`"),
        (PermissionError("/root/.cupy"), r"cannot be imported \(/root/\.cupy\): set CUPY_CACHE_DIR"),
    ],
)
def test_why_cupy_cannot_be_imported(error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", _raise(error))
    with pytest.raises(BackendError, match=reason):
        open_device()


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        ({"driver_version": 0, "count_status": 35}, "no NVIDIA driver"),
        ({"driver_version": 12_080, "count_status": 35}, r"the driver is for CUDA 12\.8, CUDA 13\.0 is needed \(.*35"),
        ({"count_status": 100}, r"no device is visible \(see CUDA_VISIBLE_DEVICES\) \(.*100"),
        ({"devices": 0}, "no device is visible"),
        ({"count_status": 802}, r"no usable device \(the driver's words for 802\)"),
        ({"capability": (7, 5)}, r"Some GPU has compute capability 7\.5, 8\.0 is needed"),
        ({"compiling": fake_cupy.CUDADriverError(209)}, "fails at once .*words for 209"),
        ({"compiling": fake_cupy.CUDADriverError(2)}, "fails at once .*words for 2"),
        ({"compiling": RuntimeError('Failure finding "libnvrtc.so.13"')}, r"libnvrtc.*NVRTC and CUDA's headers come"),
        ({"compiling": RuntimeError("Failed to find CUDA headers.")}, r"headers\.\): NVRTC and CUDA's headers come"),
        ({"compiling": fake_cupy.CompileException("unit.cu(3): error")}, r"cannot be compiled \(unit\.cu\(3\): error"),
        ({"compiling": OSError("No space left")}, r"No space left\): set CUPY_CACHE_DIR"),
    ],
)
def test_why_it_cannot_be_opened(cupy: types.ModuleType, machine: dict[str, object], reason: str) -> None:
    assert cupy
    for name, value in machine.items():
        setattr(GPU, name, value)
    with pytest.raises(BackendError, match=reason):
        open_device()


def test_a_device_of_the_least_capability_is_taken(cupy: types.ModuleType) -> None:
    assert cupy
    GPU.capability = 8, 0
    assert open_device().name


def _parameters(function: Any) -> list[str]:
    """Names of a function's parameters; compiled ones have them in the first line of their docstrings only."""
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:
        inner = function.__doc__.splitlines()[0].partition("(")[2].rpartition(")")[0]
        names = [part.partition("=")[0].split()[-1] for part in inner.split(",") if part.strip() != "*"]
    return [name for name in names if name != "self"]


def test_the_stand_in_has_the_names_and_signatures_of_cupy() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    cuda, copies = cupy.cuda, ["copy_from_host_async", "copy_to_host_async", "copy_from_device_async", "memset_async"]
    for fake, real, names in [
        (fake_cupy.Event, cuda.Event, ["__init__", "synchronize"]),
        (fake_cupy.Stream, cuda.Stream, ["__init__", "record", "begin_capture", "end_capture"]),
        (fake_cupy.Graph, cuda.Graph, ["launch"]),
        (fake_cupy.MemoryPool, cuda.MemoryPool, ["malloc", "free_bytes"]),
        (fake_cupy.PinnedMemoryPool, cuda.PinnedMemoryPool, ["malloc"]),
        (fake_cupy.PinnedMemoryPointer, cuda.PinnedMemoryPointer, ["size"]),
        (fake_cupy.MemoryPointer, cuda.MemoryPointer, copies),
        (fake_cupy.RawModule, cupy.RawModule, ["get_function"]),
    ]:
        for name in names:
            assert _parameters(getattr(fake, name)) == _parameters(getattr(real, name)), f"{real} {name}"
    assert _parameters(fake_cupy.RawModule) == _parameters(cupy.RawModule)
    assert _parameters(fake_cupy.get_elapsed_time) == _parameters(cuda.get_elapsed_time)
    assert _parameters(fake_cupy.memcpyAsync) == _parameters(cuda.runtime.memcpyAsync)
    assert all(hasattr(cupy.ndarray, name) for name in ("__dlpack__", "__dlpack_device__", "__getitem__"))
    assert all(hasattr(cupy.RawKernel, name) for name in ("max_dynamic_shared_size_bytes", "shared_size_bytes"))
    assert all(hasattr(cuda.Device, name) for name in ("attributes", "__enter__", "__exit__"))
    assert all(hasattr(cuda.Stream, name) for name in ("__enter__", "__exit__"))
    assert cuda.Stream.null.ptr == 0
    assert hasattr(cuda.Event, "done")
    assert all(hasattr(cuda.MemoryPointer, name) for name in ("ptr", "__add__"))
    assert hasattr(cuda.PinnedMemoryPointer, "ptr")


def test_cupy_has_the_errors_and_the_facts_that_are_asked_for() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    runtime = cupy.cuda.runtime
    for name, fake in vars(fake_cupy.module().cuda.runtime).items():
        real = getattr(runtime, name)
        assert callable(real) if callable(fake) else real == fake, name
    assert issubclass(runtime.CUDARuntimeError, RuntimeError)
    assert issubclass(cupy.cuda.driver.CUDADriverError, RuntimeError)
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert issubclass(cupy.cuda.compiler.CompileException, Exception)
    assert all(hasattr(runtime, f"cudaDevAttr{name}") for name in GPU.attributes)
    words = {
        cupy_errors.OUT_OF_MEMORY: "cudaErrorMemoryAllocation",
        cupy_errors.OLD_DRIVER: "cudaErrorInsufficientDriver",
        cupy_errors.NO_DEVICE: "cudaErrorNoDevice",
        cupy_errors.NOT_SUPPORTED: "cudaErrorNotSupported",
        cupy_errors.CAPTURE_FAILURES[0]: "cudaErrorStreamCaptureUnsupported",
        cupy_errors.CAPTURE_FAILURES[-1]: "cudaErrorStreamCaptureWrongThread",
    }
    for status, name in words.items():
        error = runtime.CUDARuntimeError(status)
        assert (error.status, str(error).partition(":")[0]) == (status, name)


@pytest.mark.gpu
def test_bytes_go_to_a_gpu_and_come_back() -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    device = open_device()
    assert device.multiprocessors > 0
    assert device.free_bytes() > 0
    data = content((1 << 26) + 5)  # several pieces, and more than may be under way
    first, second = device.allocate(len(data) + 100), device.allocate(len(data) + 100)
    device.write(first, 3, data)
    device.move(first, second, len(data) + 100)
    copy = device.read(second, 0, len(data) + 100)
    del first, second
    found = copy.wait()
    assert np.array_equal(found[3 : 3 + len(data)], data)
    assert not found[:3].any()
    assert not found[3 + len(data) :].any()
    with pytest.raises(DeviceMemoryError):
        device.allocate(1 << 50)
