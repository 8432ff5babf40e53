"""CuPy's errors, as ours."""

import contextlib
from collections.abc import Iterator

from muse_stream.gsu_engine.errors import CaptureError, DeviceLostError, DeviceMemoryError

OUT_OF_MEMORY, OLD_DRIVER, NO_DEVICE = 2, 35, 100  # cudaError_t; 2 is the driver's CUresult as well
NOT_SUPPORTED = 801
CAPTURE_FAILURES = range(900, 909)  # cudaErrorStreamCaptureUnsupported .. cudaErrorStreamCaptureWrongThread


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """CuPy's errors, as ours; the text stays."""
    try:
        yield
    except MemoryError as error:
        raise DeviceMemoryError(str(error)) from error
    except RuntimeError as error:
        kind = DeviceMemoryError if getattr(error, "status", None) == OUT_OF_MEMORY else DeviceLostError
        raise kind(str(error)) from error


@contextlib.contextmanager
def capture_translated() -> Iterator[None]:
    """The same inside a capture, where some errors say nothing about the device."""
    try:
        yield
    except RuntimeError as error:
        status = getattr(error, "status", None)
        # CuPy's own refusals, of a copy that cannot be captured, have no status.
        if status is None or status == NOT_SUPPORTED or status in CAPTURE_FAILURES:
            raise CaptureError(str(error)) from error
        raise
