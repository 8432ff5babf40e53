"""A device side put together by hand, and what it must answer."""

import numpy as np

from muse_stream.gsu_engine import GsuEngine, SearchBatch, SearchResult, VectorTable
from muse_stream.gsu_engine.contract import Wanted
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.histories import DeviceHistories
from muse_stream.gsu_engine.cuda.results import Running
from muse_stream.gsu_engine.cuda.search import DeviceSearch, Resident
from muse_stream.gsu_engine.cuda.vectors import DeviceVectors
from muse_stream.gsu_engine.cuda.ways import Ways
from tests.gsu_engine.cuda import numpy_search  # noqa: F401 - brings NumPy's kernels of a search
from tests.gsu_engine.worlds import World

CAP, BUDGET_BYTES = 20_000, 1 << 20


class Side:
    """Everybody of a world, resident on a device."""

    def __init__(
        self, device: Device, world: World, table: VectorTable, cap: int = CAP, ways: Ways | None = None
    ) -> None:
        self.table, self.world = table, world
        self.histories = DeviceHistories(device, BUDGET_BYTES, cap)
        self.vectors = DeviceVectors(device, table)
        self.searching = DeviceSearch(device, table.dimension, ways)
        for user, history in world.histories.items():
            slots = table.index.slots(np.array(history.items, np.int64), create=True)
            self.histories.enter(user, history.start, slots, departures=self.histories.departures)

    def search(self, batch: SearchBatch, k: int, recent: int, *, on_device: bool = False) -> SearchResult:
        """Pairs with empty windows are the caller's affair."""
        return self.start(batch, k, recent, on_device=on_device).wait()

    def start(self, batch: SearchBatch, k: int, recent: int, *, on_device: bool = False) -> Running:
        """Ask for it."""
        batch = batch.checked(self.table.dimension, k, recent)
        with self.table.index.shared():
            self.vectors.follow()
            records = self.histories.find(batch.users, batch.starts, batch.stops)
            assert (records > 0).all()
            excluded = None if batch.excluded is None else self.table.index.slots(batch.excluded, create=False)
            resident = Resident(
                self.histories.pages,
                self.histories.page_table,
                self.histories.ring,
                self.vectors.vectors,
                self.vectors.inv_norms,
            )
            return self.searching.start(resident, batch, excluded, records, Wanted(k, recent, on_device))

    def expected(self, batch: SearchBatch, k: int, recent: int) -> SearchResult:
        """By the definition."""
        return GsuEngine(self.table, cap=CAP, backend="reference").search(batch, k, recent, self.world)
