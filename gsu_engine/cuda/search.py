"""A search on the device: one upload, three launches, one download.

Scratch and results lie in buffers that are used again by the next search: everything happens in one order, and the copy
of a search's results is asked for before the next search. A batch with more candidates than `SCRATCH_BYTES` have room
for is searched in parts, one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import F32, I64, U8, U32
from muse_stream.gsu_engine.contract import SearchBatch, SearchResult
from muse_stream.gsu_engine.cuda.device import Buffer, Copy, Device
from muse_stream.gsu_engine.cuda.layout import SEARCH
from muse_stream.gsu_engine.cuda.parcel import Parcel
from muse_stream.gsu_engine.cuda.plan import BLOCKS_PER_MULTIPROCESSOR, MAXIMA, TILE, Lists, Plan, plan

SCRATCH_BYTES = 256 << 20  # lists of hits for 32 000 candidates at K <= 204
THREADS, FINISH_THREADS = 256, 128  # of kernels/tiles.cuh and kernels/finish.cuh
FINISH_BLOCKS_PER_MULTIPROCESSOR = 16  # 128 threads each: what a multiprocessor holds
TILE_BYTES = 4_096  # TileMemory of kernels/tiles.cuh
QUEUE_BYTES = 8 * 256 * 13  # 8 Queues of kernels/filter.cuh
WORD_BYTES = 16
FINISH_MEMORY_BYTES = 48  # FinishMemory of kernels/finish.cuh


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

    starts: I64
    stops: I64
    records: I64
    bounds: I64
    first: int  # candidate of the batch
    allowed: U8
    allowed_at: I64


@dataclass(frozen=True, slots=True)
class Running:
    """A search that is under way."""

    starts: I64  # [T] first position of each candidate's window
    k: int
    recent: int
    copies: Sequence[tuple[int, Copy]]  # candidates and results of each part

    def wait(self) -> SearchResult:
        """The results, once they are there. From any thread, without the device's lock.

        Raises:
            DeviceLostError: The device failed.

        """
        parts = [_unpacked(copy.wait(), count, self.k, self.recent) for count, copy in self.copies]
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        if not parts:
            return SearchResult.empty(0, self.k, self.recent)
        scores, places, found, recent_scores, recent_present = joined
        positions = np.where(places >= 0, places + self.starts[:, None], -1)
        return SearchResult(scores, positions, found, recent_scores, recent_present.view(np.bool_))


class DeviceSearch:
    """Searches what is resident. Not thread-safe: its owner keeps a lock, which `Running.wait` does not need."""

    def __init__(self, device: Device, width: int) -> None:
        self._device, self._width = device, width
        self._parcel = Parcel(device)
        self._scratch: Buffer | None = None
        self._results: Buffer | None = None

    @property
    def bytes(self) -> int:
        """Device memory for scratch and results."""
        return sum(buffer.bytes for buffer in (self._scratch, self._results) if buffer is not None)

    def start(
        self, resident: Resident, batch: SearchBatch, excluded: U32 | None, records: I64, k: int, recent: int
    ) -> Running:
        """Ask for a search.

        Args:
            resident: Histories and vectors; they may change after this call.
            batch: Pairs whose windows are resident.
            excluded: `[T] uint32` the slot that is not retrieved for a candidate, 0 = none; None = none for all.
            records: `[P] int64` records of the pairs' users.
            k: Results per candidate.
            recent: Recent scores per candidate.

        Raises:
            DeviceMemoryError: There is no room for scratch and results.
            DeviceLostError: The device failed.

        """
        lists = Lists.of(k)
        copies = [
            self._start_part(resident, batch, excluded, part, lists, k, recent)
            for part in _parts(batch, records, SCRATCH_BYTES // (8 * lists.room))
        ]
        return Running(np.repeat(batch.starts, np.diff(batch.bounds)), k, recent, copies)

    def _start_part(  # noqa: PLR0917
        self,
        resident: Resident,
        batch: SearchBatch,
        excluded: U32 | None,
        part: _Part,
        lists: Lists,
        k: int,
        recent: int,
    ) -> tuple[int, Copy]:
        count = int(part.bounds[-1])
        planned = plan(
            part.starts,
            part.stops,
            part.bounds,
            part.records,
            resident.ring,
            part.allowed_at,
            k,
            self._device.multiprocessors,
        )
        struct = np.zeros(1, SEARCH)
        for name in ("pages", "page_table", "vectors", "inv_norms"):
            struct[name] = getattr(resident, name).address
        for name, value in (
            ("ring", resident.ring),
            ("pair_count", len(planned.pairs)),
            ("candidate_count", count),
            ("sample_items", planned.sample_items),
            ("filter_items", planned.filter_items),
            ("room", lists.room),
            ("k", k),
            ("recent", recent),
            ("most_kept", lists.most_kept),
        ):
            struct[name] = value
        self._place_scratch(struct, count, lists.room)
        results = self._place_results(struct, count, k, recent)
        rows = slice(part.first, part.first + count)
        columns: dict[str, NDArray[Any]] = {
            "pairs": planned.pairs,
            "candidates": batch.vectors[rows],
            "candidate_norms": batch.inv_norms[rows],
            "allowed": part.allowed,
            "done": np.zeros(planned.candidate_tiles, np.uint32),
            "tickets": np.zeros(2, np.uint32),
        }
        if excluded is not None:
            columns["excluded"] = excluded[rows]
        self._launch(self._parcel.send(struct, columns), planned, count, lists)
        return count, self._device.read(results, 0, _results_bytes(count, k, recent))

    def _launch(self, argument: int, planned: Plan, count: int, lists: Lists) -> None:
        width, launch = self._width, self._device.launch
        blocks = BLOCKS_PER_MULTIPROCESSOR * self._device.multiprocessors
        shared = 3 * TILE * width + TILE_BYTES
        launch(f"threshold_{width}", blocks, THREADS, shared + WORD_BYTES, argument)
        if planned.filter_items:
            needed = min(planned.filter_items, blocks)
            launch(f"filter_{width}", needed, THREADS, shared + QUEUE_BYTES + WORD_BYTES, argument)
        blocks = min(count, FINISH_BLOCKS_PER_MULTIPROCESSOR * self._device.multiprocessors)
        finish_shared = 8 * (lists.room + lists.most_kept) + FINISH_MEMORY_BYTES
        launch(f"finish_{width}", blocks, FINISH_THREADS, finish_shared, argument)

    def _place_scratch(self, struct: NDArray[Any], count: int, room: int) -> None:
        sizes = {"hits": 8 * count * room, "maxima": 4 * count * MAXIMA, "thresholds": 4 * count, "counts": 4 * count}
        self._scratch = self._grown(self._scratch, sum(sizes.values()))
        _place(struct, self._scratch, sizes)

    def _place_results(self, struct: NDArray[Any], count: int, k: int, recent: int) -> Buffer:
        self._results = self._grown(self._results, _results_bytes(count, k, recent))
        _place(struct, self._results, _result_sizes(count, k, recent))
        return self._results

    def _grown(self, buffer: Buffer | None, size_bytes: int) -> Buffer:
        if buffer is not None and buffer.bytes >= size_bytes:
            return buffer
        return self._device.allocate(size_bytes + size_bytes // 4)


def _place(struct: NDArray[Any], buffer: Buffer, sizes: dict[str, int]) -> None:
    """Set fields to the addresses of parts that lie one after the other, the largest elements first."""
    at = buffer.address
    for name, size in sizes.items():
        struct[name] = at
        at += size


def _result_sizes(count: int, k: int, recent: int) -> dict[str, int]:
    return {
        "scores": 4 * count * k,
        "places": 4 * count * k,
        "found": 4 * count,
        "recent_scores": 4 * count * recent,
        "recent_present": count * recent,
    }


def _results_bytes(count: int, k: int, recent: int) -> int:
    return sum(_result_sizes(count, k, recent).values())


def _unpacked(data: NDArray[np.uint8], count: int, k: int, recent: int) -> tuple[NDArray[Any], ...]:
    """The parts of a results buffer, as arrays."""
    ends = np.cumsum([0, *_result_sizes(count, k, recent).values()]).tolist()
    scores, places, found, recent_scores, present = (data[low:high] for low, high in pairwise(ends))
    floats: F32 = scores.view(np.float32)
    return (
        floats.reshape(count, k),
        places.view(np.int32).reshape(count, k),
        found.view(np.int32),
        recent_scores.view(np.float32).reshape(count, recent),
        present.reshape(count, recent),
    )


def _parts(batch: SearchBatch, records: I64, most: int) -> list[_Part]:
    """The batch in parts of at most so many candidates; pairs on a cut are searched in two parts."""
    total = len(batch.vectors)
    allowed, allowed_at = _bitmaps(batch)
    parts = []
    for first in range(0, total, most):
        bounds = np.clip(batch.bounds, first, first + most) - first
        kept = np.flatnonzero(np.diff(bounds) > 0)
        own = np.append(bounds[kept], bounds[-1])
        columns = (batch.starts[kept], batch.stops[kept], records[kept], own)
        parts.append(_Part(*columns, first, allowed, allowed_at[kept]))
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
