"""A search on the device: one upload, three launches, one download; or the same captured, and replayed at once.

Scratch and results lie in buffers that are used again by the next search: everything happens in one order, and the copy
of a search's results is asked for before the next search. Results that are to stay on the device get memory of their
own. A batch with more candidates than `SCRATCH_BYTES` have room for is searched in parts, one after the other.

Who scores what was retrieved waits twice for the device, not once: for the results here, and for the scores later. The
places of the behaviours have to come to the host in between, because what the network reads of a behaviour is not on
the device: its item and category come from the user's stored sequence, and its embedding is looked up by the item's id
in a vocabulary of the model's. To spare the first wait, histories with items and categories, and the model's
vocabularies, would have to live on the device too: 16 bytes a behaviour more than the 4 that decide how many users fit.
Cosines do not make the detour: see `columns`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import I64, U8, U32
from muse_stream.gsu_engine.contract import SearchBatch, Wanted
from muse_stream.gsu_engine.cuda import results
from muse_stream.gsu_engine.cuda.device import Buffer, Device
from muse_stream.gsu_engine.cuda.graphs import Geometry, Graphs
from muse_stream.gsu_engine.cuda.grid import Grid
from muse_stream.gsu_engine.cuda.layout import SEARCH
from muse_stream.gsu_engine.cuda.parcel import Packed, Parcel
from muse_stream.gsu_engine.cuda.plan import MAXIMA, Lists, Plan, plan
from muse_stream.gsu_engine.cuda.results import Fetch, Running
from muse_stream.gsu_engine.cuda.ways import Way, Ways
from muse_stream.gsu_engine.kernels.planning import Windows
from muse_stream.gsu_engine.stats import WayStats

SCRATCH_BYTES = 256 << 20  # lists of hits for 32 000 candidates at K <= 204


@dataclass(frozen=True, slots=True)
class Resident:
    """Where the device keeps what is searched.

    Attributes:
        pages: Of the histories, `[pages, 512] uint32`.
        page_table: `[records, ring] uint32`.
        ring: Entries of a record.
        vectors: `[slots, d] int8`.
        inv_norms: `[slots] float32`.

    """

    pages: Buffer
    page_table: Buffer
    ring: int
    vectors: Buffer
    inv_norms: Buffer


@dataclass(frozen=True, slots=True)
class _Part:
    """Pairs that are searched at once: all or some of a batch's, the first and last perhaps with some candidates."""

    windows: Windows
    first: int  # candidate of the batch
    allowed: U8


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search: see `DeviceSearch.start`."""

    resident: Resident
    batch: SearchBatch
    excluded: U32 | None
    wanted: Wanted
    lists: Lists
    way: Way


class DeviceSearch:
    """Searches what is resident. Not thread-safe: its owner keeps a lock, which `Running.wait` does not need."""

    def __init__(self, device: Device, width: int, ways: Ways | None = None) -> None:
        """Prepare for vectors of that width; `ways` says which way a search takes, None: three launches."""
        self._device, self._width = device, width
        self._ways = ways or Ways()
        self._parcel = Parcel(device)
        self._graphs = Graphs(device, width)
        self._scratch: Buffer | None = None
        self._results: Buffer | None = None

    @property
    def bytes(self) -> int:
        """Device memory for scratch, results and graphs."""
        own = sum(buffer.bytes for buffer in (self._scratch, self._results) if buffer is not None)
        return own + self._graphs.bytes

    def stats(self) -> WayStats:
        """Which ways were measured and taken."""
        chosen = {str(shape): str(measured) for shape, measured in self._ways.measured.items()}
        return WayStats(chosen, len(self._graphs), self._graphs.replays, self._graphs.refused)

    def forget(self) -> None:
        """The device is lost: let go of its graphs."""
        self._graphs.clear()

    def start(
        self, resident: Resident, batch: SearchBatch, excluded: U32 | None, records: I64, wanted: Wanted
    ) -> Running:
        """Ask for a search.

        Args:
            resident: Histories and vectors; they may change after this call.
            batch: Pairs whose windows are resident.
            excluded: `[T] uint32` the slot that is not retrieved for a candidate, 0 = none; None = none for all.
            records: `[P] int64` records of the pairs' users.
            wanted: What is asked of every candidate.

        Raises:
            DeviceMemoryError: There is no room for scratch and results.
            DeviceLostError: The device failed.

        """
        rows = int((batch.stops - batch.starts).max(initial=0))
        way = self._ways.way(rows, len(batch.vectors))
        lists = Lists.of(wanted.k, rows if way.whole else 0)
        asked = _Asked(resident, batch, excluded, wanted, lists, way)
        parts = _parts(batch, records, SCRATCH_BYTES // (8 * lists.room))
        fetches = [self._start_part(asked, part, keep=wanted.on_device and len(parts) == 1) for part in parts]
        return Running(np.repeat(batch.starts, batch.bounds[1:] - batch.bounds[:-1]), wanted, fetches)

    def _start_part(self, asked: _Asked, part: _Part, *, keep: bool) -> Fetch:
        device, lists = self._device, asked.lists
        planned = plan(part.windows, asked.resident.ring, lists, device.multiprocessors)
        count = int(part.windows.bounds[-1])
        packed = Packed.of(self._struct(asked, planned, count), _columns(asked, part, planned))
        grid = Grid.of(planned.filter_items, count, lists, device.multiprocessors)
        fetch = self._replay(asked, packed, grid, count, keep=keep) if asked.way.graph else None
        return fetch or self._launch(asked, packed, grid, count, keep=keep)

    def _launch(self, asked: _Asked, packed: Packed, grid: Grid, count: int, *, keep: bool) -> Fetch:
        device, sizes = self._device, results.sizes(count, asked.wanted)
        size_bytes = sum(sizes.values())
        if keep:
            buffer = device.allocate(size_bytes)
        else:
            buffer = self._results = self._grown(self._results, size_bytes)
        _place(packed.struct, buffer, sizes)
        for one in grid.launches(self._width, self._parcel.send(packed)):
            device.launch(*one)
        kept = results.columns(device, buffer, count, asked.wanted) if keep else None
        return Fetch(count, device.read(buffer, 0, size_bytes), kept)

    def _replay(self, asked: _Asked, packed: Packed, grid: Grid, count: int, *, keep: bool) -> Fetch | None:
        """The same by a graph; None where there is none, or another search has it."""
        device, sizes = self._device, results.sizes(count, asked.wanted)
        size_bytes = sum(sizes.values())
        captured = self._graphs.of(Geometry.of(grid, packed.bytes, size_bytes))
        if captured is None:
            return None
        _place(packed.struct, captured.results, sizes)
        copy = captured.replay(packed)
        if copy is None:
            return None
        self._graphs.replays += 1
        if not keep:
            return Fetch(count, copy, None)
        own = device.allocate(size_bytes)
        device.move(captured.results, own, size_bytes)
        return Fetch(count, copy, results.columns(device, own, count, asked.wanted))

    def _struct(self, asked: _Asked, planned: Plan, count: int) -> NDArray[Any]:
        """The parameters, but for the results' addresses and the parcel's own."""
        struct, resident, lists = np.zeros(1, SEARCH), asked.resident, asked.lists
        for name in ("pages", "page_table", "vectors", "inv_norms"):
            struct[name] = getattr(resident, name).address
        for name, value in (
            ("ring", resident.ring),
            ("pair_count", len(planned.pairs)),
            ("candidate_count", count),
            ("sample_items", planned.sample_items),
            ("filter_items", planned.filter_items),
            ("room", lists.room),
            ("k", lists.k),
            ("recent", asked.wanted.recent),
            ("most_kept", lists.most_kept),
        ):
            struct[name] = value
        sizes = {"hits": 8 * count * lists.room, "maxima": 4 * count * MAXIMA}
        sizes |= {"thresholds": 4 * count, "counts": 4 * count}
        self._scratch = self._grown(self._scratch, sum(sizes.values()))
        _place(struct, self._scratch, sizes)
        return struct

    def _grown(self, buffer: Buffer | None, size_bytes: int) -> Buffer:
        if buffer is not None and buffer.bytes >= size_bytes:
            return buffer
        return self._device.allocate(size_bytes + size_bytes // 4)


def _columns(asked: _Asked, part: _Part, planned: Plan) -> dict[str, NDArray[Any]]:
    """What the struct points to and travels with it."""
    rows = slice(part.first, part.first + int(part.windows.bounds[-1]))
    columns: dict[str, NDArray[Any]] = {
        "pairs": planned.pairs,
        "candidates": asked.batch.vectors[rows],
        "candidate_norms": asked.batch.inv_norms[rows],
        "allowed": part.allowed,
        "done": np.zeros(planned.candidate_tiles, np.uint32),
        "tickets": np.zeros(2, np.uint32),
    }
    if asked.excluded is not None:
        columns["excluded"] = asked.excluded[rows]
    return columns


def _place(struct: NDArray[Any], buffer: Buffer, sizes: dict[str, int]) -> None:
    """Set fields to the addresses of parts that lie one after the other, the largest elements first."""
    at = buffer.address
    for name, size in sizes.items():
        struct[name] = at
        at += size


def _parts(batch: SearchBatch, records: I64, most: int) -> list[_Part]:
    """The batch in parts of at most so many candidates; pairs on a cut are searched in two parts."""
    total = len(batch.vectors)
    allowed, allowed_at = _bitmaps(batch)
    if total <= most:
        return [_Part(Windows(batch.starts, batch.stops, batch.bounds, records, allowed_at), 0, allowed)] * (total > 0)
    parts = []
    for first in range(0, total, most):
        bounds = np.clip(batch.bounds, first, first + most) - first
        kept = np.flatnonzero(np.diff(bounds) > 0)
        own = np.append(bounds[kept], bounds[-1])
        windows = Windows(batch.starts[kept], batch.stops[kept], own, records[kept], allowed_at[kept])
        parts.append(_Part(windows, first, allowed))
    return parts


def _bitmaps(batch: SearchBatch) -> tuple[U8, I64]:
    """All bitmaps as bits, one after the other, and the byte at which each pair's begins, -1 where it has none."""
    at: I64 = np.full(len(batch.starts), -1, np.int64)
    bits: list[U8] = [np.zeros(0, np.uint8)]
    end = 0
    for pair, mask in enumerate(batch.allowed or ()):
        if mask is not None:
            own = np.packbits(mask, bitorder="little") if mask.dtype == np.bool_ else mask
            at[pair] = end
            end += len(own)
            bits.append(own)
    return np.concatenate(bits), at
