"""Results that stay on a device, for whoever computes there next.

Lifetime: the memory of a `DeviceColumns` is its own. It holds one search's results unchanged for as long as the object,
or a part of it, lives, whatever is searched meanwhile; so it has to be kept until what reads it is done.

Order: columns are handed out behind the search that writes them, so a consumer's stream waits for it, and no host does.
"""

from dataclasses import dataclass
from typing import Any, Protocol


class Column(Protocol):
    """`[rows, width] float32` on a device, for other libraries (https://dmlc.github.io/dlpack)."""

    def __dlpack__(self, *, stream: Any = None) -> Any:  # noqa: ANN401 - a capsule, which has no type
        """Hand out the memory, ready to be read on `stream`."""
        ...

    def __dlpack_device__(self) -> tuple[Any, int]:
        """Kind and number of the device where it lies."""
        ...

    def __getitem__(self, part: tuple[slice, slice]) -> "Column":
        """Some of its rows and columns, without a copy."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class DeviceColumns:
    """The cosines of a `SearchResult` on the device, bit for bit those on the host.

    Attributes:
        scores: `[T, K] float32`.
        recent_scores: `[T, R] float32`.

    """

    scores: Column
    recent_scores: Column

    def cut(self, first: int, last: int, k: int, recent: int) -> "DeviceColumns":
        """The candidates `first..last-1`, the best `k` and the newest `recent` of each; views."""
        rows = slice(first, last)
        return DeviceColumns(self.scores[rows, slice(0, k)], self.recent_scores[rows, slice(0, recent)])
