"""Small searches on a GPU: what each way takes, and which one is chosen (see `gsu_engine.cuda.ways`).

The rehearsal of a worker measures the same, so these rows say what a worker on that machine would do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from muse_stream.benchmarks.report import Line
from muse_stream.gsu_engine.backends.cuda import CudaBackend, ways_on
from muse_stream.gsu_engine.cuda.ways import Measured, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class WayRow(Line):
    """One shape; `ours` is the chosen way's time, from asking to the results' arrival, by the device's clock.

    Attributes:
        way: The chosen one.
        medians_ms: Of all of them.

    """

    way: str | None = None
    medians_ms: Mapping[str, float] = field(default_factory=dict)


def empty() -> Iterator[Line]:
    """The rows without figures."""
    return (_row(shape, None) for shape in Shape.every())


def measured(backend: CudaBackend, dimension: int, k: int) -> Iterator[Line]:
    """The rows; engines of this process take these ways from now on."""
    backend.tune(dimension, k)
    found = ways_on(backend.device_name, dimension).measured
    return (_row(shape, found.get(shape)) for shape in Shape.every())


def _row(shape: Shape, found: Measured | None) -> WayRow:
    case = f"small search, {shape}"
    if found is None:
        return WayRow(case, None, "ms")
    medians = {str(way): 1e3 * seconds for way, seconds in found.seconds.items()}
    return WayRow(case, medians[str(found.way)], "ms", way=str(found.way), medians_ms=medians)
