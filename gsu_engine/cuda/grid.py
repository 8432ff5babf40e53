"""The three launches of a search: how many blocks, how much shared memory.

Blocks of all three kernels take work until there is none, so any number of them is right; rounding it up makes searches
of about one size alike, so that one captured graph serves them all.
"""

from dataclasses import dataclass

from muse_stream.gsu_engine.cuda.device import Launch
from muse_stream.gsu_engine.cuda.plan import Lists, power_of_two
from muse_stream.gsu_engine.kernels.planning import BLOCKS_PER_MULTIPROCESSOR, TILE

THREADS, FINISH_THREADS = 256, 128  # of kernels/tiles.cuh and kernels/finish.cuh
FINISH_BLOCKS_PER_MULTIPROCESSOR = 16  # 128 threads each: what a multiprocessor holds
TILE_BYTES = 4_096  # TileMemory of kernels/tiles.cuh
QUEUE_BYTES = 8 * 256 * 13  # 8 Queues of kernels/filter.cuh
WORD_BYTES = 16
FINISH_MEMORY_BYTES = 48  # FinishMemory of kernels/finish.cuh


@dataclass(frozen=True, slots=True)
class Grid:
    """What the launches of a search differ in.

    Attributes:
        sampling_blocks: Of the first kernel.
        filter_blocks: Of the second; 0 = it has nothing to do.
        finish_blocks: Of the third.
        finish_bytes: Its shared memory.

    """

    sampling_blocks: int
    filter_blocks: int
    finish_blocks: int
    finish_bytes: int

    @classmethod
    def of(cls, filter_items: int, candidates: int, lists: Lists, multiprocessors: int) -> "Grid":
        """As many blocks as there is work for, or as the device holds."""
        most = BLOCKS_PER_MULTIPROCESSOR * multiprocessors
        finish = min(candidates, FINISH_BLOCKS_PER_MULTIPROCESSOR * multiprocessors)
        return cls(most, min(filter_items, most), finish, 8 * (lists.room + lists.most_kept) + FINISH_MEMORY_BYTES)

    def rounded(self) -> "Grid":
        """The same with powers of two where the work decides."""
        filter_blocks = power_of_two(self.filter_blocks) if self.filter_blocks else 0
        return Grid(self.sampling_blocks, filter_blocks, power_of_two(self.finish_blocks), self.finish_bytes)

    def launches(self, width: int, argument: int) -> list[Launch]:
        """For vectors of that width, and a struct at that address."""
        shared = 3 * TILE * width + TILE_BYTES + WORD_BYTES
        launches = [
            Launch(f"threshold_{width}", self.sampling_blocks, THREADS, shared, argument),
            Launch(f"filter_{width}", self.filter_blocks, THREADS, shared + QUEUE_BYTES, argument),
            Launch(f"finish_{width}", self.finish_blocks, FINISH_THREADS, self.finish_bytes, argument),
        ]
        return [one for one in launches if one.blocks]
