"""Names for the array types of the engine, and storage that grows without copying."""

import mmap
import sys
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from muse_stream.gsu_engine.errors import BudgetError

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
F32 = NDArray[np.float32]
Flags = NDArray[np.bool_]

Scalar = TypeVar("Scalar", bound=np.generic)

# From 8 MiB on, 2 MiB pages are worth asking for: with 4 KiB ones reading at random misses the TLB each time, and a
# packed copy of 100 000 rows is read at 19 GB/s instead of 28. Below, committing 2 MiB at a time wastes too much.
HUGE_PAGES_FROM_BYTES = 8 << 20
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def plain(array: NDArray[Any], kind: type[Scalar]) -> NDArray[Scalar]:
    """The array as kernels are compiled for: contiguous, aligned, writable; copied only where it is not."""
    if array.dtype == kind and array.flags.carray:  # contiguous, aligned and writable
        return array
    return np.require(array, kind, ["C", "A", "W"])


def reserve(shape: tuple[int, ...], dtype: type[Scalar] | DTypeLike) -> NDArray[Scalar]:
    """Zeroed array whose memory the operating system commits page by page as it is written.

    So a budget can be reserved whole as address space, rows never move, and what is resident is what is in use.

    Raises:
        BudgetError: The machine refuses an address range of that size.

    """
    kind = np.dtype(dtype)
    count = int(np.prod(shape))
    size = max(count * kind.itemsize, 1)
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE)
    except (OSError, OverflowError, ValueError) as error:
        message = f"cannot reserve {size} bytes of address space ({error}): set a smaller byte budget"
        raise BudgetError(message) from error
    if size >= HUGE_PAGES_FROM_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, kind, count).reshape(shape)
