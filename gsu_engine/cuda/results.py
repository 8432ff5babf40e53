"""Where a search leaves its results, and how they become arrays.

Layout: one buffer; scores `[T, K] float32`, places `[T, K] int32`, found `[T] int32`, recent scores `[T, R] float32`,
and which of them are present `[T, R] uint8`, one after the other. A buffer may be longer than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import F32, I64
from muse_stream.gsu_engine.columns import DeviceColumns
from muse_stream.gsu_engine.contract import SearchResult, Wanted
from muse_stream.gsu_engine.cuda.device import Buffer, Copy, Device


@dataclass(frozen=True, slots=True)
class Fetch:
    """Results of some candidates, on their way to the host.

    Attributes:
        candidates: How many.
        copy: Their bytes.
        kept: The same on the device, where they are to stay there.

    """

    candidates: int
    copy: Copy
    kept: DeviceColumns | None


@dataclass(frozen=True, slots=True)
class Running:
    """A search that is under way."""

    starts: I64  # [T] first position of each candidate's window
    wanted: Wanted
    fetches: Sequence[Fetch]  # of each part

    def wait(self) -> SearchResult:
        """The results, once they are there. From any thread, without the device's lock.

        Raises:
            DeviceLostError: The device failed.

        """
        parts = [_unpacked(fetch.copy.wait(), fetch.candidates, self.wanted) for fetch in self.fetches]
        if not parts:
            return SearchResult.empty(0, self.wanted.k, self.wanted.recent)
        scores, places, found, recent_scores, recent_present = (
            column[0].copy() if len(column) == 1 else np.concatenate(column) for column in zip(*parts, strict=True)
        )
        positions = np.where(places >= 0, places + self.starts[:, None], -1)
        kept = self.fetches[0].kept if len(self.fetches) == 1 else None
        return SearchResult(scores, positions, found, recent_scores, recent_present.view(np.bool_), kept)


def sizes(candidates: int, wanted: Wanted) -> dict[str, int]:
    """Bytes of each column, by its field of `layout.SEARCH`."""
    return {
        "scores": 4 * candidates * wanted.k,
        "places": 4 * candidates * wanted.k,
        "found": 4 * candidates,
        "recent_scores": 4 * candidates * wanted.recent,
        "recent_present": candidates * wanted.recent,
    }


def columns(device: Device, buffer: Buffer, candidates: int, wanted: Wanted) -> DeviceColumns:
    """Scores and recent scores in such a buffer."""
    own = sizes(candidates, wanted)
    recent_at = own["scores"] + own["places"] + own["found"]
    return DeviceColumns(
        device.column(buffer, 0, candidates, wanted.k), device.column(buffer, recent_at, candidates, wanted.recent)
    )


def _unpacked(data: NDArray[np.uint8], count: int, wanted: Wanted) -> tuple[NDArray[Any], ...]:
    """The columns of a buffer, as arrays."""
    ends = accumulate(sizes(count, wanted).values(), initial=0)
    scores, places, found, recent_scores, present = (data[low:high] for low, high in pairwise(ends))
    floats: F32 = scores.view(np.float32)
    return (
        floats.reshape(count, wanted.k),
        places.view(np.int32).reshape(count, wanted.k),
        found.view(np.int32),
        recent_scores.view(np.float32).reshape(count, wanted.recent),
        present.reshape(count, wanted.recent),
    )
