"""A GPU and the stand-ins for one, as tests ask for them."""

import functools
import shutil
from typing import Any, Protocol

from muse_stream.gsu_engine.cuda.cupy_device import open_device
from muse_stream.gsu_engine.cuda.device import Device
from tests.gsu_engine.cuda.emulator.device import EmulatedDevice
from tests.gsu_engine.cuda.numpy_device import NumpyDevice

HAS_COMPILER = shutil.which("g++") is not None


class MakeDevice(Protocol):
    """A new device, all of its memory free."""

    def __call__(self, *, memory_bytes: int = 1 << 30, multiprocessors: int = 2) -> Device: ...


def numpy_device(*, memory_bytes: int = 1 << 30, multiprocessors: int = 2) -> Device:
    return NumpyDevice(memory_bytes=memory_bytes, multiprocessors=multiprocessors)


def emulated_device(*, memory_bytes: int = 1 << 30, multiprocessors: int = 2) -> Device:
    return EmulatedDevice(memory_bytes=memory_bytes, multiprocessors=multiprocessors)


@functools.cache
def _the_gpu() -> Device:
    """One stream for all tests: they come one after the other."""
    return open_device()


def real_device(*, memory_bytes: int = 0, multiprocessors: int = 0) -> Device:
    """The GPU of this machine, as large as it is."""
    assert memory_bytes == multiprocessors == 0
    return _the_gpu()


class OtherGrid:
    """A device whose launches have another number of blocks, or of threads, than was asked for."""

    def __init__(self, device: Device, blocks: int, threads: int) -> None:
        self._device = device
        self._shape = blocks, threads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def launch(self, kernel: str, blocks: int, threads: int, shared_bytes: int, argument: int) -> None:
        self._device.launch(kernel, *self._shape, shared_bytes, argument)
