"""Backends of the search: one contract, the same bits from each.

| name | what |
|---|---|
| `auto` | `cuda` where a device can be used that has kernels for the width, else `cpu` |
| `reference` | the definition in NumPy |
| `cpu` | compiled, the best form that the machine has (see `kernels.forms`) |
| `cpu-avx-vnni`, `cpu-avx2` | compiled, that form, where the machine has it |
| `cpu-float32` | compiled, the portable form |
| `cuda` | kernels on an NVIDIA GPU, `cpu` beside them; widths without kernels: `array-cuda` |
| `array-cuda` | array operations on an NVIDIA GPU, through CuPy |
| `array-numpy` | the same on NumPy |
"""

from collections.abc import Callable

import numpy as np

from muse_stream.gsu_engine.backends.array import ArrayBackend
from muse_stream.gsu_engine.backends.cpu import CpuBackend
from muse_stream.gsu_engine.backends.cuda import open_arrays, open_cuda, without_kernels
from muse_stream.gsu_engine.backends.reference import ReferenceBackend
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.cuda.sources import WIDTHS
from muse_stream.gsu_engine.errors import BackendError
from muse_stream.gsu_engine.kernels import forms

ASKED = "asked for by name"


def _cpu(threads: int | None, form: forms.Form | None = None, why: str = ASKED) -> tuple[Backend, str]:
    backend = CpuBackend(threads, form)
    return backend, f"{why}; multiplies as {backend.form.name}"


MAKERS: dict[str, Callable[[int | None], tuple[Backend, str]]] = {
    "reference": lambda _threads: (ReferenceBackend(), ASKED),
    "cpu": _cpu,
    "cpu-avx-vnni": lambda threads: _cpu(threads, forms.AVX_VNNI),
    "cpu-avx2": lambda threads: _cpu(threads, forms.AVX2),
    "cpu-float32": lambda threads: _cpu(threads, forms.FLOAT32),
    "array-numpy": lambda _threads: (ArrayBackend(np, "array-numpy"), ASKED),
    "array-cuda": lambda _threads: open_arrays(),
}
NAMES = ("auto", "cuda", *MAKERS)


def choose(name: str, threads: int | None = None, width: int | None = None) -> tuple[Backend, str]:
    """The backend of that name for vectors of that width (None: any), and why it is this one.

    Raises:
        BackendError: Unknown name, or the backend cannot run on this machine; never for `auto`.

    """
    if name == "auto":
        return _best(threads, width)
    if name == "cuda":
        return open_cuda(lambda: CpuBackend(threads), width)
    if name not in MAKERS:
        message = f"backend {name!r} is unknown, expected one of {', '.join(NAMES)}"
        raise BackendError(message)
    return MAKERS[name](threads)


def _best(threads: int | None, width: int | None) -> tuple[Backend, str]:
    if width is not None and width not in WIDTHS:
        return _cpu(threads, why=without_kernels(width))
    try:
        return open_cuda(lambda: CpuBackend(threads), width)
    except BackendError as reason:
        return _cpu(threads, why=str(reason))
