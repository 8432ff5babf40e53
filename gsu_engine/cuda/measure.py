"""Times every way of a small search on a device, by the device's own clock, and says which is the fastest.

A time goes from a mark before the search is asked for to one behind the copy of its results. So it holds what the host
takes to ask, where the device waits for that: with small searches that is most of it, and what graphs are for.
Ways take turns, so that whatever disturbs the machine disturbs all of them; medians count.
"""

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from muse_stream.gsu_engine.contract import SearchBatch, Wanted
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.histories import PAGE_BYTES, DeviceHistories, ring_of
from muse_stream.gsu_engine.cuda.search import DeviceSearch, Resident
from muse_stream.gsu_engine.cuda.vectors import DeviceVectors
from muse_stream.gsu_engine.cuda.ways import Measured, Shape, Way, Ways
from muse_stream.gsu_engine.index import ItemIndex
from muse_stream.gsu_engine.table import VectorTable

USER = 1
ITEMS = 1 << 14  # 2 MiB of vectors at width 128: they lie in a cache, as those of a small search mostly do
RECENT = 50
WARM_UPS, TURNS = 3, 21  # some 700 searches in all, of well below a millisecond each
# Another way than the plainest must take this much less: smaller differences come and go from start to start.
WORTH = 0.95


class Stage:
    """One user of made-up behaviours on a device."""

    def __init__(self, device: Device, width: int, rows: int) -> None:
        """Make the user resident.

        Raises:
            DeviceMemoryError: The device has not so much left; it takes a few MiB.
            DeviceLostError: It failed.

        """
        rng = np.random.default_rng(0)
        table = VectorTable("measure", width, ItemIndex(max_items=2 * ITEMS), budget_bytes=2 * ITEMS * (width + 4))
        table.put(np.arange(1, ITEMS + 1), rng.integers(-127, 128, (ITEMS, width), np.int8))
        self._device, self._table, self._rows = device, table, rows
        self._histories = DeviceHistories(device, 2 * ring_of(rows) * PAGE_BYTES, rows)
        slots = table.index.slots(rng.integers(1, ITEMS + 1, rows), create=True)
        self._histories.enter(USER, 0, slots, departures=0)
        self._vectors = DeviceVectors(device, table)
        self._vectors.follow()

    def search(self, way: Way) -> DeviceSearch:
        """One that always takes that way."""
        return DeviceSearch(self._device, self._table.dimension, Ways(always=way))

    def seconds(self, search: DeviceSearch, shape: Shape, k: int) -> float:
        """Of one search of that shape, over the newest rows."""
        user, starts, stops = np.array([USER]), np.array([self._rows - shape.rows]), np.array([self._rows])
        asked = np.arange(shape.candidates) % ITEMS + 1
        batch = SearchBatch(user, starts, stops, np.array([0, shape.candidates]), *self._table.lookup(asked))
        records = self._histories.find(user, starts, stops)
        first = self._device.mark()
        running = search.start(self._resident(), batch, None, records, Wanted(k, RECENT))
        last = self._device.mark()
        running.wait()
        return last.seconds_since(first)

    def _resident(self) -> Resident:
        histories, vectors = self._histories, self._vectors
        return Resident(histories.pages, histories.page_table, histories.ring, vectors.vectors, vectors.inv_norms)


def measure(device: Device, width: int, k: int, shapes: Sequence[Shape]) -> Mapping[Shape, Measured]:
    """The fastest way of each shape.

    Raises:
        DeviceMemoryError: The device has too little left for it.
        DeviceLostError: It failed.

    """
    stage = Stage(device, width, max(shape.rows for shape in shapes))
    return {shape: _fastest(stage, shape, k) for shape in shapes}


def _fastest(stage: Stage, shape: Shape, k: int) -> Measured:
    searches = {way: stage.search(way) for way in shape.ways()}
    times: dict[Way, list[float]] = {way: [] for way in searches}
    for turn in range(WARM_UPS + TURNS):
        for way, search in searches.items():
            taken = stage.seconds(search, shape, k)
            if turn >= WARM_UPS:
                times[way].append(taken)
    medians = {way: statistics.median(own) for way, own in times.items()}
    plainest, fastest = next(iter(medians)), min(medians, key=medians.__getitem__)
    is_worth_it = medians[fastest] < WORTH * medians[plainest]
    return Measured(fastest if is_worth_it else plainest, medians)
