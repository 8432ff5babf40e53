"""What a GPU can do at most: by its datasheet, and measured in the same run.

A search has to multiply every row by every candidate, and to read every row once: its slot, its int8 vector and its
inverse norm. Its limit is the longer of the two. Nothing of it knows of selection, launches or the way to the host.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muse_stream.benchmarks.gpu_clock import Clock
from muse_stream.benchmarks.report import Line

SLOT_BYTES, NORM_BYTES = 4, 4
COPIED_BYTES = 2 << 30
SIDE = 8_192  # of the matrices of int8
BEST_OF = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Two ceilings.

    Attributes:
        ops_per_second: int8 multiplications and additions, each counted; None where nobody has said or measured it.
        bytes_per_second: Device memory; None likewise.

    """

    ops_per_second: float | None = None
    bytes_per_second: float | None = None

    def seconds(self, lengths: Sequence[int], candidates: int, dimension: int) -> float | None:
        """Least time of a search of users with so many rows, each for so many candidates; None = not known."""
        if self.ops_per_second is None or self.bytes_per_second is None:
            return None
        rows = sum(lengths)
        computing = 2 * rows * candidates * dimension / self.ops_per_second
        return max(computing, rows * (dimension + SLOT_BYTES + NORM_BYTES) / self.bytes_per_second)


DATASHEETS = {"H200": Limits(1979e12, 4.8e12)}  # dense int8 and HBM3e, as NVIDIA states them


def datasheet(device: str | None) -> Limits:
    """The ceilings of a model, not known for most."""
    return next((limits for model, limits in DATASHEETS.items() if device and model in device), Limits())


def measured(clock: Clock, device: str = "cuda", *, copied_bytes: int = COPIED_BYTES, side: int = SIDE) -> Limits:
    """Copying within device memory, and Torch's int8 product of square matrices; not known without Torch."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return Limits()
    source = torch.zeros(copied_bytes // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copying = _best(clock, lambda: target.copy_(source))
    left, right = (torch.randint(-127, 128, (side, side), dtype=torch.int8, device=device) for _ in range(2))
    computing = _best(clock, lambda: torch._int_mm(left, right.T))  # Torch's only product of int8
    return Limits(2 * side**3 / computing, copied_bytes / copying)


def _best(clock: Clock, work: Callable[[], object]) -> float:
    taken = []
    for _ in range(BEST_OF + 1):
        first = clock.mark()
        work()
        taken.append(clock.seconds(first, clock.mark()))
    return min(taken[1:])


def rows(known: Limits, found: Limits) -> list[Line]:
    """Both ceilings as rows; cells of what is not known stay empty."""
    figures = {
        "int8 products": (known.ops_per_second, found.ops_per_second, 1e12, "TOP/s"),
        "device memory": (known.bytes_per_second, found.bytes_per_second, 1e12, "TB/s"),
    }
    shown = []
    for name, (said, seen, unit, of) in figures.items():
        shown.append(Line(f"limit: {name}, datasheet", None if said is None else said / unit, of))
        shown.append(Line(f"limit: {name}, measured", None if seen is None else seen / unit, of))
    return shown
