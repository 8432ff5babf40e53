"""What the three kernels of a search do, in NumPy: for `NumpyDevice`, so that host code is tested where no compiler is.

They read the same structs in the same memory, and follow pages and slots as the kernels do; items, tiles and the order
of hits are the kernels' own affair and are not played here.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I64, U32, Flags
from muse_stream.gsu_engine.cuda.layout import PAIR, SEARCH
from tests.gsu_engine.cuda.numpy_device import KERNELS, PAGE, NumpyDevice

BELOW_ALL = np.float32(-np.inf)


@dataclass(frozen=True)
class Window:
    """One pair's rows."""

    pair: Any
    slots: U32  # [L]
    vectors: I64  # [L, d]
    inv_norms: F32  # [L]
    allowed: Flags  # [L]


class Searching:
    """A search as the kernels see it."""

    def __init__(self, device: NumpyDevice, argument: int, width: int) -> None:
        self.device, self.width = device, width
        self.work = device.struct(argument, SEARCH)
        self.count, self.k, self.room = self.work["candidate_count"], self.work["k"], self.work["room"]
        self.candidates = self.column("candidates", np.int8, width).astype(np.int64)
        self.norms = self.column("candidate_norms", np.float32)
        self.excluded = self.column("excluded", np.uint32) if self.work["excluded"] else np.zeros(self.count, np.uint32)
        self.thresholds = self.column("thresholds", np.float32)
        self.counts = self.column("counts", np.uint32)

    def column(self, name: str, dtype: Any, *width: int) -> Any:
        """`[T]`, or `[T, width]`."""
        return self.device.view(self.work[name], dtype, self.count * math.prod(width)).reshape(self.count, *width)

    def windows(self) -> list[Window]:
        pairs = self.device.view(self.work["pairs"], PAIR, self.work["pair_count"])
        return [self.window(pair) for pair in pairs if pair["candidates"] and pair["length"]]

    def window(self, pair: Any) -> Window:
        at = int(pair["head"]) + np.arange(pair["length"])
        entries = int(pair["table_at"]) + (int(pair["first_page"]) + at // PAGE) % self.work["ring"]
        slots = np.array([self.slot(int(entry), int(index)) for entry, index in zip(entries, at % PAGE, strict=True)])
        norms = np.array([self.at("inv_norms", np.float32, slot) for slot in slots], np.float32)
        rows = [self.device.view(self.work["vectors"] + self.width * int(slot), np.int8, self.width) for slot in slots]
        allowed = np.ones(len(slots), np.bool_)
        if pair["allowed_at"] >= 0:
            bits = self.device.view(self.work["allowed"] + int(pair["allowed_at"]), np.uint8, -(-len(slots) // 8))
            allowed = np.unpackbits(bits, count=len(slots), bitorder="little").astype(np.bool_)
        return Window(pair, slots, np.array(rows).astype(np.int64), norms, allowed)

    def slot(self, entry: int, index: int) -> int:
        page = self.at("page_table", np.uint32, entry)
        return int(self.at("pages", np.uint32, int(page) * PAGE + index))

    def at(self, name: str, dtype: Any, index: int) -> Any:
        return self.device.view(self.work[name] + np.dtype(dtype).itemsize * int(index), dtype, 1)[0]

    def products(self, window: Window, candidate: int) -> F32:
        """`[L] float32` dot times inverse norm of the row."""
        dots = window.vectors @ self.candidates[candidate]
        products: F32 = dots.astype(np.float32) * window.inv_norms
        return products

    def counting(self, window: Window, candidate: int) -> Flags:
        excluded = int(self.excluded[candidate])
        return (window.inv_norms != 0) & window.allowed & ((excluded == 0) | (window.slots != excluded))

    def candidates_of(self, window: Window) -> list[int]:
        first = int(window.pair["first_candidate"])
        return [one for one in range(first, first + int(window.pair["candidates"])) if self.norms[one] != 0]


def threshold(search: Searching) -> None:
    """The `rank`-th best of the sample, for each candidate."""
    recent = search.work["recent"]
    search.column("recent_scores", np.float32, recent)[:] = 0
    search.column("recent_present", np.uint8, recent)[:] = 0
    search.counts[:] = 0
    search.thresholds[:] = BELOW_ALL
    for window in search.windows():
        places = np.arange(window.pair["sampled"]) * int(window.pair["sample_step"]) >> 16
        for candidate in search.candidates_of(window) if len(places) else ():
            counting = search.counting(window, candidate)[places]
            best = np.sort(search.products(window, candidate)[places][counting])[::-1]
            if len(best) >= window.pair["rank"]:
                y = best[window.pair["rank"] - 1]
                search.thresholds[candidate] = smallest_with_score_of(y, search.norms[candidate])


def smallest_with_score_of(y: np.float32, norm: np.float32) -> np.float32:
    """The smallest float whose product with `norm` rounds to no less than that of `y`."""
    while y != 0 and np.nextafter(y, BELOW_ALL) * norm >= y * norm:
        y = np.nextafter(y, BELOW_ALL)
    return y


def keys_of(scores: F32, places: I64) -> Any:
    """`[n] uint64`, see kernels/keys.cuh."""
    bits = scores.view(np.uint32)
    ascending = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return ascending.astype(np.uint64) << np.uint64(32) | places.astype(np.uint64)


def filter_rows(search: Searching) -> None:
    """Hits in any order, and recent scores."""
    hits = search.column("hits", np.uint64, search.room)
    for window in search.windows():
        for candidate in search.candidates_of(window):
            products = search.products(window, candidate)
            found = np.flatnonzero((products >= search.thresholds[candidate]) & search.counting(window, candidate))
            keys = keys_of(products[found] * search.norms[candidate], found)
            listed = search.device.rng.permutation(keys)[: search.room]
            hits[candidate, : len(listed)] = listed
            search.counts[candidate] = len(found)
            _write_recent(search, window, candidate, products)


def _write_recent(search: Searching, window: Window, candidate: int, products: F32) -> None:
    newest = slice(None, -search.work["recent"] - 1, -1)
    present = (window.inv_norms != 0)[newest]
    recent = search.work["recent"]
    search.column("recent_present", np.uint8, recent)[candidate, : len(present)] = present
    scores = products[newest] * search.norms[candidate]
    search.column("recent_scores", np.float32, recent)[candidate, : len(present)] = np.where(present, scores, 0)


def finish(search: Searching) -> None:
    """The K best; from all rows where the list is not whole."""
    scores = search.column("scores", np.float32, search.k)
    places = search.column("places", np.int32, search.k)
    found = search.column("found", np.int32)
    hits = search.column("hits", np.uint64, search.room)
    scores[:], places[:], found[:] = 0, -1, 0
    for window in search.windows():
        for candidate in search.candidates_of(window):
            count = int(search.counts[candidate])
            enough = count >= search.k or search.thresholds[candidate] == BELOW_ALL
            keys = hits[candidate, :count] if count <= search.room and enough else _all(search, window, candidate)
            best = np.sort(keys)[::-1][: search.k]
            high = (best >> np.uint64(32)).astype(np.uint32)
            bits = np.where(high >> 31, high & np.uint32(0x7FFFFFFF), ~high)
            found[candidate] = len(best)
            scores[candidate, : len(best)] = bits.view(np.float32)
            places[candidate, : len(best)] = (best & np.uint64(0xFFFFFFFF)).astype(np.int32)


def _all(search: Searching, window: Window, candidate: int) -> Any:
    rows = np.flatnonzero(search.counting(window, candidate))
    return keys_of(search.products(window, candidate)[rows] * search.norms[candidate], rows)


for _width in (64, 128):
    KERNELS[f"threshold_{_width}"] = lambda device, at, width=_width: threshold(Searching(device, at, width))
    KERNELS[f"filter_{_width}"] = lambda device, at, width=_width: filter_rows(Searching(device, at, width))
    KERNELS[f"finish_{_width}"] = lambda device, at, width=_width: finish(Searching(device, at, width))
