"""Many small arrays in one upload.

Layout: parts lie one after the other, each aligned to 16 bytes; the address of a part is known before anything is sent,
so a struct in the parcel can point to its neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.cuda.device import Buffer, Device

ALIGNED_BYTES = 16  # what `begin_copy` of primitives.cuh asks of an address
SMALLEST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Packed:
    """A struct and its parts, with their places; what is sent depends on the address that it is sent to.

    Attributes:
        struct: `[1]` of a dtype of `layout`.
        parts: Contiguous arrays by field.
        offsets: Where each part begins.
        bytes: Of all together.

    """

    struct: NDArray[Any]
    parts: Mapping[str, NDArray[Any]]
    offsets: Mapping[str, int]
    bytes: int

    @classmethod
    def of(cls, struct: NDArray[Any], parts: Mapping[str, NDArray[Any]]) -> "Packed":
        """Give every part a place behind the struct."""
        offsets, end = {}, _aligned(struct.nbytes)
        for name, part in parts.items():
            offsets[name] = end
            end = _aligned(end + part.nbytes)
        return cls(struct, parts, offsets, end)

    def at(self, address: int) -> NDArray[np.uint8]:
        """The bytes for that address: the struct's fields of the parts' names point to them there."""
        for name, offset in self.offsets.items():
            self.struct[name] = address + offset
        packed = np.zeros(self.bytes, np.uint8)
        packed[: self.struct.nbytes] = self.struct.view(np.uint8)
        for name, part in self.parts.items():
            at = self.offsets[name]
            packed[at : at + part.nbytes] = part.reshape(-1).view(np.uint8)
        return packed


class Parcel:
    """A buffer on the device that is written anew for each use; it grows as needed, by half at least."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._buffer: Buffer | None = None

    def send(self, packed: Packed) -> int:
        """Upload it.

        Returns:
            The address of the struct.

        Raises:
            DeviceMemoryError: There is no room for it.

        """
        buffer = self._room(packed.bytes)
        self._device.write(buffer, 0, packed.at(buffer.address))
        return buffer.address

    def _room(self, size_bytes: int) -> Buffer:
        if self._buffer is None or self._buffer.bytes < size_bytes:
            self._buffer = self._device.allocate(max(size_bytes * 3 // 2, SMALLEST_BYTES))
        return self._buffer


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNED_BYTES) * ALIGNED_BYTES
