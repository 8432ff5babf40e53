"""The vector table, mirrored on the device.

Layout: by slot: `vectors [slots, d] int8`, `inv_norms [slots] float32`, 0 where the slot has no vector. There is room
for every slot in use, with a vector or without, so that a history may hold any of them. Room doubles when it runs out,
up to `index.slot_limit`: d + 4 bytes a slot, and three times the old room for the moment in which it grows.

Invariant: after `follow`, the copy is equal to the table for as long as the caller stays inside `index.shared()`. That
holds for slots that mean another item now: a slot is freed only when the table has no vector for it, and both that and
a vector of the new item are changes of the table like any other.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import U32
from muse_stream.gsu_engine.cuda.device import Buffer, Device
from muse_stream.gsu_engine.cuda.layout import FILL
from muse_stream.gsu_engine.cuda.parcel import Packed, Parcel
from muse_stream.gsu_engine.table import VectorTable

FIRST_SLOTS = 1 << 12
STEP = 1 << 14  # rows per upload: 2.2 MB at d = 128, 17 MB at 1 024
THREADS, BLOCKS_EACH = 256, 8  # 16 bytes a thread; as many blocks as a multiprocessor runs at once


class DeviceVectors:
    """A copy of a `VectorTable` on a device. Not thread-safe."""

    def __init__(self, device: Device, table: VectorTable) -> None:
        """Make room; nothing is copied before the first `follow`.

        Raises:
            DeviceMemoryError: The device has not so much left.

        """
        self.vectors: Buffer
        self.inv_norms: Buffer
        self._device = device
        self._table = table
        self._parcel = Parcel(device)
        self._slots = 0
        self._version = 0
        self._grow(min(FIRST_SLOTS, table.index.slot_limit))

    def follow(self) -> None:
        """Bring the copy to what the table holds now; inside `index.shared()`.

        Every slot that was made before has room then.

        Raises:
            DeviceMemoryError: There is no room on the device for new slots; the copy is as it was, or further.
            DeviceLostError: The device failed.

        """
        index, version = self._table.index, self._table.version
        used = index.slots_in_use
        if used > self._slots:
            self._grow(min(max(2 * self._slots, used), index.slot_limit))
        if version == self._version:
            return
        changed = self._table.changed_since(self._version)
        if changed is None:
            changed = np.arange(used, dtype=np.uint32)
        for low in range(0, len(changed), STEP):
            self._send(changed[low : low + STEP])
        self._version = version

    def _grow(self, slots: int) -> None:
        width = self._table.dimension
        vectors, inv_norms = self._device.allocate(slots * width), self._device.allocate(slots * 4)
        if self._slots:
            self._device.move(self.vectors, vectors, self._slots * width)
            self._device.move(self.inv_norms, inv_norms, self._slots * 4)
        self.vectors, self.inv_norms, self._slots = vectors, inv_norms, slots

    def _send(self, slots: U32) -> None:
        """Copy the rows of these slots, each once."""
        view = self._table.view()
        chosen = view.row_of_slot[slots]
        struct = np.zeros(1, FILL)
        struct["vectors"], struct["inv_norms"] = self.vectors.address, self.inv_norms.address
        struct["count"], struct["width"] = len(slots), self._table.dimension
        parts: dict[str, NDArray[Any]] = {"slots": slots, "rows": view.rows[chosen], "norms": view.inv_norms[chosen]}
        pieces = len(slots) * self._table.dimension // 16
        blocks = min(-(-pieces // THREADS), BLOCKS_EACH * self._device.multiprocessors)
        self._device.launch("fill", blocks, THREADS, 0, self._parcel.send(Packed.of(struct, parts)))
