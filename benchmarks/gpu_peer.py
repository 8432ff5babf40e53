"""What a peer on the GPU is, and where it runs."""

import gc
import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from muse_stream.benchmarks.gpu_clock import Clock
from muse_stream.benchmarks.gsu_data import Vectors
from muse_stream.benchmarks.vectors import I64

CELLS = (1 << 23, 1 << 26, 1 << 29, 1 << 32)  # scores in memory at once: within the cache, up to all of some users'
LONG_SECONDS = 0.2  # a call that takes longer is not tried twice
Ready = Any  # candidates on the host, as the library takes them
Found = Any  # an answer on the device


@dataclass(frozen=True, slots=True)
class Place:
    """Where peers run.

    Attributes:
        device: Torch's name of it.
        xp: CuPy, or NumPy in its place.
        clock: Its time.

    """

    device: str
    xp: Any
    clock: Clock

    def release(self) -> None:
        """Give memory that no peer holds any more back to the device: libraries keep it, each for itself."""
        gc.collect()
        if self.device != "cpu":
            importlib.import_module("torch").cuda.empty_cache()
            self.xp.get_default_memory_pool().free_all_blocks()


class Peer(Protocol):
    """Finds the K best rows of each user's candidates."""

    exact: bool  # up to the rounding of float32 sums
    has_device_time: bool

    def prepare(self, asked: Sequence[Vectors]) -> Ready:
        """Candidates of each user as the library takes them, on the host; not timed."""
        ...

    def send(self, ready: Ready) -> Any:  # noqa: ANN401
        """To the device."""
        ...

    def search(self, sent: Any, k: int) -> Found:  # noqa: ANN401
        """On the device."""
        ...

    def fetch(self, found: Found) -> list[I64]:
        """Scores and rows to the host; returns per user `[C, K]` rows in any order."""
        ...

    def tune(self, ready: Ready, k: int, clock: Clock) -> None:
        """Take what is fastest for such a question."""
        ...


class Blocks(ABC):
    """Cuts candidates so that a block's scores fit `cells`, and finds the best such number."""

    has_device_time = True
    cells = CELLS[0]

    @abstractmethod
    def send(self, ready: Ready) -> Any:  # noqa: ANN401
        """See `Peer`."""

    @abstractmethod
    def search(self, sent: Any, k: int) -> Found:  # noqa: ANN401
        """See `Peer`."""

    def tune(self, ready: Ready, k: int, clock: Clock) -> None:
        """Try all; what does not fit into memory is out."""
        sent, taken = self.send(ready), {}
        for cells in CELLS:
            self.cells = cells
            try:
                for _ in range(2):  # the first allocates
                    first = clock.mark()
                    self.search(sent, k)
                    taken[cells] = clock.seconds(first, clock.mark())
                    if taken[cells] > LONG_SECONDS:
                        break
            except (RuntimeError, MemoryError):  # Torch's and CuPy's
                break
        self.cells = min(taken, key=taken.__getitem__, default=CELLS[0])

    def parts(self, count: int, size: int) -> Iterator[slice]:
        """Of `count` things with `size` scores each."""
        step = max(self.cells // max(size, 1), 1)
        return (slice(low, min(low + step, count)) for low in range(0, count, step))
