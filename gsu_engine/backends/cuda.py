"""The array backend on an NVIDIA GPU, through CuPy."""

import importlib
import os

from muse_stream.gsu_engine.backends.array import ArrayBackend
from muse_stream.gsu_engine.errors import BackendError


def open_cuda() -> tuple[ArrayBackend, str]:
    """A backend on the current device, and the device's name.

    Raises:
        BackendError: CuPy is not installed, or finds no driver or device, or TF32 was switched on; the text says which.

    """
    if os.environ.get("CUPY_TF32", "0") not in {"", "0"}:
        message = "cuda: CUPY_TF32 is set: unset it, scores must be exact"
        raise BackendError(message)
    try:
        cupy = importlib.import_module("cupy")
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        return ArrayBackend(cupy, "cuda"), f"device {device}"
    except ImportError as error:
        message = f"cuda: CuPy cannot be imported ({error}): install the extra `cuda`"
        raise BackendError(message) from error
    except (RuntimeError, OSError) as error:
        message = f"cuda: no usable device ({error})"
        raise BackendError(message) from error
