"""Many small arrays in one upload.

Layout: parts lie one after the other, each aligned to 16 bytes; the address of a part is known before anything is sent,
so a struct in the parcel can point to its neighbours.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda.device import Buffer, Device

ALIGNED_BYTES = 16  # what `begin_copy` of primitives.cuh asks of an address
SMALLEST_BYTES = 1 << 16


class Parcel:
    """A buffer on the device that is written anew for each use; it grows as needed, by half at least."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._buffer: Buffer | None = None

    def send(self, struct: NDArray[Any], parts: dict[str, NDArray[Any]], *, zeros_bytes: int = 0) -> int:
        """Upload parts and their struct, whose fields of the parts' names are set to their addresses.

        Args:
            struct: `[1]` of a dtype of `layout`.
            parts: Contiguous arrays by field.
            zeros_bytes: So many zero bytes follow the struct.

        Returns:
            The address of the struct.

        Raises:
            DeviceMemoryError: There is no room for it.

        """
        offsets, end = {}, _aligned(struct.nbytes + zeros_bytes)
        for name, part in parts.items():
            offsets[name] = end
            end = _aligned(end + part.nbytes)
        buffer = self._room(end)
        for name, offset in offsets.items():
            struct[name] = buffer.address + offset
        packed = np.zeros(end, np.uint8)
        packed[: struct.nbytes] = struct.view(np.uint8)
        for name, part in parts.items():
            packed[offsets[name] : offsets[name] + part.nbytes] = part.reshape(-1).view(np.uint8)
        self._device.write(buffer, 0, packed)
        return buffer.address

    def _room(self, size_bytes: int) -> Buffer:
        if self._buffer is None or self._buffer.bytes < size_bytes:
            self._buffer = self._device.allocate(max(size_bytes * 3 // 2, SMALLEST_BYTES))
        return self._buffer


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNED_BYTES) * ALIGNED_BYTES
