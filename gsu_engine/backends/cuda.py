"""NVIDIA GPUs: the device side of an engine, and array operations through CuPy."""

import importlib
import logging
import os
from collections.abc import Callable

from muse_stream.gsu_engine.backends.array import ArrayBackend
from muse_stream.gsu_engine.contract import Backend, SearchResult, Work
from muse_stream.gsu_engine.cuda import cupy_device
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.histories import DeviceHistories
from muse_stream.gsu_engine.cuda.measure import measure
from muse_stream.gsu_engine.cuda.residence import Residence
from muse_stream.gsu_engine.cuda.search import DeviceSearch
from muse_stream.gsu_engine.cuda.sources import WIDTHS
from muse_stream.gsu_engine.cuda.vectors import DeviceVectors
from muse_stream.gsu_engine.cuda.ways import Shape, Ways
from muse_stream.gsu_engine.errors import BackendError, BudgetError, DeviceError, DeviceLostError, DeviceMemoryError
from muse_stream.gsu_engine.table import VectorTable

log = logging.getLogger(__name__)

WAYS: dict[tuple[str, int], Ways] = {}  # by device and width, for all engines of the process: one rehearsal measures
GROWTH = 2  # vectors may take so many times their size: room doubles, and what it grew out of stays in CuPy's pool


class CudaBackend:
    """Searches on a GPU what lies there, and the rest, or all once the GPU is lost, on the CPU.

    Attributes:
        cpu: What searches there.
        device_name: Model and driver.

    """

    name = "cuda"

    def __init__(self, cpu: Backend, open_device: Callable[[], Device], ways: Ways | None = None) -> None:
        """Open the device; engines that share this backend get one stream each.

        Args:
            cpu: What searches beside it.
            open_device: Opens the device, once for each engine.
            ways: Which way small searches take; None: what this process has measured on the device.

        Raises:
            BackendError: There is none that can be used.

        """
        self.cpu, self.form = cpu, cpu.form
        self._open_device, self._ways = open_device, ways
        self._spare: Device | None = open_device()
        self.device_name = self._spare.name

    def search(self, work: Work) -> SearchResult:
        """Answer on the CPU."""
        return self.cpu.search(work)

    def residence(self, table: VectorTable, cap: int, budget_bytes: int | None) -> Residence:
        """The device, with room for histories.

        Args:
            table: The vectors.
            cap: Behaviours kept per user.
            budget_bytes: Of the histories; None: see `budget_of`.

        Raises:
            BackendError: No kernels for the table's width, or not so much memory.

        """
        if table.dimension not in WIDTHS:
            raise BackendError(without_kernels(table.dimension))
        device, self._spare = self._spare or self._open_device(), None
        try:
            return self._with_room(device, table, cap, budget_bytes)
        except DeviceLostError as error:
            message = f"cuda: {device.name} fails at once ({error})"
            raise BackendError(message) from error

    def tune(self, dimension: int, k: int) -> None:
        """Measure which way each small shape is searched fastest, once per device and width in a process.

        From then on all engines take those ways. Where that fails they go on as before, and a line in the log says why.
        """
        ways = ways_on(self.device_name, dimension)
        if dimension not in WIDTHS or ways.measured:
            return
        try:
            device, self._spare = self._spare or self._open_device(), None
            ways.learn(measure(device, dimension, k, Shape.every()))
            self._spare = device
        except (BackendError, DeviceError) as error:
            log.warning("%s: small searches are not measured, they take three launches: %s", self.device_name, error)
            return
        for shape, measured in ways.measured.items():
            log.info("%s, vectors of %d, %s: %s", self.device_name, dimension, shape, measured)

    def _with_room(self, device: Device, table: VectorTable, cap: int, budget_bytes: int | None) -> Residence:
        free = device.free_bytes()
        has = f"{device.name} has {free:,} free"
        try:
            budget = budget_of(free, table) if budget_bytes is None else budget_bytes
            if budget > free:
                message = f"cuda: {budget:,} bytes wanted for histories, {has}"
                raise BackendError(message)
            histories, vectors = DeviceHistories(device, budget, cap), DeviceVectors(device, table)
            search = DeviceSearch(device, table.dimension, self._ways or ways_on(device.name, table.dimension))
            return Residence(device.name, histories, vectors, search)
        except (BudgetError, DeviceMemoryError) as error:
            message = f"cuda: too little memory ({error}), {has}"
            raise BackendError(message) from error


def ways_on(device_name: str, width: int) -> Ways:
    """What is known of that device in this process."""
    return WAYS.setdefault((device_name, width), Ways())


def budget_of(free_bytes: int, table: VectorTable) -> int:
    """Bytes for histories where nobody says: three quarters of what the vectors, at their most, leave free.

    The last quarter is for searches, for the model, and for whoever else uses the GPU.
    """
    vectors = GROWTH * table.index.slot_limit * (table.dimension + 4)
    return max((free_bytes - vectors) * 3 // 4, 0)


def without_kernels(width: int) -> str:
    """Why a table is not searched by kernels."""
    return f"cuda: no kernels for vectors of width {width}, only for {' and '.join(map(str, WIDTHS))}"


def open_cuda(cpu: Callable[[], Backend], width: int | None) -> tuple[Backend, str]:
    """The kernels, or array operations where there are none for that width; None: any.

    Raises:
        BackendError: As of `cupy_device.open_device`, or of `open_arrays`.

    """
    if width is not None and width not in WIDTHS:
        backend, why = open_arrays()
        return backend, f"{why}; array operations: {without_kernels(width)}"
    found = CudaBackend(cpu(), cupy_device.open_device)
    return found, f"device {found.device_name}"


def open_arrays() -> tuple[Backend, str]:
    """Array operations on CuPy's current device, and its name.

    Raises:
        BackendError: CuPy is not installed, or finds no driver or device, or TF32 was switched on; the text says which.

    """
    if os.environ.get("CUPY_TF32", "0") not in {"", "0"}:
        message = "cuda: CUPY_TF32 is set: unset it, scores must be exact"
        raise BackendError(message)
    try:
        cupy = importlib.import_module("cupy")
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        return ArrayBackend(cupy, "array-cuda"), f"device {device}"
    except ImportError as error:
        message = f"cuda: CuPy cannot be imported ({error}): install the extra `cuda`"
        raise BackendError(message) from error
    except (RuntimeError, OSError) as error:
        message = f"cuda: no usable device ({error})"
        raise BackendError(message) from error
