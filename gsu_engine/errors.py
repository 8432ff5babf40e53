"""Everything the engine raises.

GsuError
├── BatchError      a search batch breaks its own contract (also a ValueError)
├── VectorError     vectors of a wrong size, type or content (also a ValueError)
├── WindowError     the history source cannot supply the positions that were asked for
├── BudgetError     a byte budget is too small to work with, or larger than the machine
├── BackendError    no such backend, or it cannot run on this machine
└── DeviceError     the GPU
    ├── CaptureError        it does not capture a sequence of calls; it works on without
    ├── DeviceMemoryError   it has not enough memory left for what was asked
    └── DeviceLostError     it failed: nothing works on it again within this process
"""


class GsuError(Exception):
    """Base of all errors of this room."""


class BatchError(GsuError, ValueError):
    """A search batch breaks its contract: shapes, types, bounds, K or window."""


class VectorError(GsuError, ValueError):
    """Vectors have a wrong shape or type, or values that no vector can have."""


class WindowError(GsuError):
    """The source's live sequence does not cover the positions of a search.

    Operator action: none; the caller has to pass the source that belongs to the moment it took the positions from.
    """


class BudgetError(GsuError, ValueError):
    """A byte budget is below what one page or one row needs, or the machine refuses to reserve it."""


class BackendError(GsuError):
    """The backend is unknown, or was asked for by name and cannot run here."""


class DeviceError(GsuError):
    """Something about the GPU."""


class CaptureError(DeviceError):
    """The driver does not capture a sequence of calls as a graph; searches go on without graphs."""


class DeviceMemoryError(DeviceError):
    """The GPU has not enough memory left for what was asked."""


class DeviceLostError(DeviceError):
    """The GPU failed in flight; nothing works on it again within this process.

    Operator action: look at the driver's log (`dmesg`, `nvidia-smi`), then restart the worker. Until then the CPU
    answers.
    """
