"""A backend whose device is NumPy: real histories and vectors on a `NumpyDevice`, searched there by the definition.

Or by the real search, with the kernels of `numpy_search`: slow, and for their widths alone.
"""

from dataclasses import dataclass

import numpy as np

from muse_stream.gsu_engine import VectorTable
from muse_stream.gsu_engine.arrays import I64, U32
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.gsu_engine.contract import Backend, SearchBatch, SearchResult, TableView, Wanted, Work
from muse_stream.gsu_engine.cuda.histories import PAGE_BYTES, DeviceHistories
from muse_stream.gsu_engine.cuda.residence import Residence
from muse_stream.gsu_engine.cuda.search import DeviceSearch, Resident
from muse_stream.gsu_engine.cuda.vectors import DeviceVectors
from muse_stream.gsu_engine.cuda.ways import Ways
from muse_stream.gsu_engine.errors import DeviceMemoryError
from muse_stream.gsu_engine.kernels.residents import PAGE
from muse_stream.gsu_engine.stats import WayStats
from tests.gsu_engine.cuda import numpy_search  # noqa: F401 - brings its kernels
from tests.gsu_engine.cuda.numpy_device import NumpyDevice

STEPS = 3  # calls of the device that a search makes before its results are waited for


@dataclass
class StandInRunning:
    """A search that is done; the device may be lost before anyone hears of it."""

    device: NumpyDevice
    result: SearchResult

    def wait(self) -> SearchResult:
        self.device.step()
        return self.result


class CountingDevice(NumpyDevice):
    """Counts its calls.

    Attributes:
        steps: How many.

    """

    steps = 0

    def step(self) -> None:
        super().step()
        self.steps += 1


class StandInSearch:
    """As `DeviceSearch`: reads what lies on the device and nothing else.

    Attributes:
        is_short: Whether there is no memory for scratch.
        count: Searches so far.
        forgot: How often it was told that the device is lost.

    """

    def __init__(self, device: NumpyDevice, width: int) -> None:
        self.device, self.width = device, width
        self.is_short = False
        self.count = self.forgot = 0

    def forget(self) -> None:
        self.forgot += 1

    def stats(self) -> WayStats:
        return WayStats({}, 0, 0, None)

    def start(
        self, resident: Resident, batch: SearchBatch, excluded: U32 | None, records: I64, wanted: Wanted
    ) -> StandInRunning:
        self.count += 1
        if self.is_short:
            message = "no room for scratch"
            raise DeviceMemoryError(message)
        for _ in range(STEPS):
            self.device.step()
        assert records.all()
        assert (np.diff(batch.bounds) > 0).all()
        windows = zip(records.tolist(), batch.starts.tolist(), batch.stops.tolist(), strict=True)
        parts = [self._slots(resident, *window) for window in windows]
        offsets = np.cumsum([0, *map(len, parts)])
        work = Work(
            table=self._table(resident),
            slots=np.concatenate(parts),
            offsets=offsets,
            starts=batch.starts,
            stops=batch.stops,
            rows=int(offsets[-1]),
            packed=[None] * len(parts),
            bounds=batch.bounds,
            vectors=batch.vectors,
            inv_norms=batch.inv_norms,
            allowed=_flags(batch),
            excluded=excluded,
            k=wanted.k,
            recent=wanted.recent,
        )
        return StandInRunning(self.device, ReferenceBackend().search(work))

    def _slots(self, resident: Resident, record: int, start: int, stop: int) -> U32:
        places = np.arange(start, stop)
        table = self.device.view(resident.page_table.address, np.uint32, resident.page_table.bytes // 4)
        pages = self.device.view(resident.pages.address, np.uint32, resident.pages.bytes // 4).reshape(-1, PAGE)
        found: U32 = pages[table[record * resident.ring + places // PAGE % resident.ring], places % PAGE]
        return found

    def _table(self, resident: Resident) -> TableView:
        slots = resident.inv_norms.bytes // 4
        rows = self.device.view(resident.vectors.address, np.int8, slots * self.width).reshape(slots, self.width)
        norms = self.device.view(resident.inv_norms.address, np.float32, slots)
        return TableView(np.arange(slots, dtype=np.uint32), rows.copy(), norms.copy())


def _flags(batch: SearchBatch) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    lengths = (batch.stops - batch.starts).tolist()
    masks = batch.allowed or [None] * len(lengths)
    return np.concatenate(
        [
            np.ones(length, np.bool_)
            if mask is None
            else mask
            if mask.dtype == np.bool_
            else np.unpackbits(mask, count=length, bitorder="little").astype(np.bool_)
            for mask, length in zip(masks, lengths, strict=True)
        ]
    )


class StandInBackend:
    """As `CudaBackend`.

    Attributes:
        devices: Those that were lent, one for each engine.
        searches: What searches on them.
        histories: What lies on them.
        tuned: What `tune` was asked for.

    """

    name = "cuda"

    def __init__(self, cpu: Backend, pages: int = 100, *, by_kernels: bool = False, ways: Ways | None = None) -> None:
        self.cpu, self.form, self.pages = cpu, cpu.form, pages
        self.by_kernels, self.ways = by_kernels, ways
        self.devices: list[CountingDevice] = []
        self.searches: list[StandInSearch] = []
        self.histories: list[DeviceHistories] = []
        self.tuned: list[tuple[int, int]] = []

    def search(self, work: Work) -> SearchResult:
        return self.cpu.search(work)

    def tune(self, dimension: int, k: int) -> None:
        self.tuned.append((dimension, k))

    def residence(self, table: VectorTable, cap: int, budget_bytes: int | None) -> Residence:
        device = CountingDevice(memory_bytes=1 << 28)
        search = StandInSearch(device, table.dimension)
        histories = DeviceHistories(device, budget_bytes or budget_of(self.pages, cap), cap)
        self.devices.append(device)
        self.searches.append(search)
        self.histories.append(histories)
        searching = DeviceSearch(device, table.dimension, self.ways) if self.by_kernels else search
        return Residence(device.name, histories, DeviceVectors(device, table), searching)


def budget_of(pages: int, cap: int) -> int:
    """Bytes for about so many pages."""
    ring_bytes = 4 * (-(-cap // PAGE) + 2)
    return (pages + 1) * (PAGE_BYTES + 2 * ring_bytes) + ring_bytes
