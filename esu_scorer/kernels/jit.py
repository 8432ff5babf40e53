"""How this folder's kernels are compiled: numba, without the GIL, kept on disk between runs.

Invariant: a kernel is never run from a cache that other sources made. Numba's own check sees the file of the kernel but
not its callees in other files, so the cache directory is named by a digest of this folder's sources, numba, llvmlite
and the CPU. Kernels of this folder call none outside it.

Sums may be taken in another order than written, so that they are taken in vector lanes (`reassoc`, `contract`), but
always in the same: one machine's code for a row does not depend on other rows. NaN and infinities are as written.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import llvmlite
import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding
from numba.core import cgutils as numba_cgutils

P = ParamSpec("P")
R = TypeVar("R")

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Int = Any  # scalars inside kernels: numba infers them, NumPy's stubs do not
Real = Any

FEATURES = binding.get_host_cpu_features().flatten()

_numba: Any = numba  # its annotations leave out flags and names that it has
_njit, _config = _numba.njit, _numba.config
carray = _numba.carray
cgutils: Any = numba_cgutils
_FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}


def _digest() -> str:
    """Names what compiled code depends on."""
    state = hashlib.blake2b(digest_size=8)
    for part in (numba.__version__, llvmlite.__version__, binding.get_host_cpu_name(), FEATURES):
        state.update(part.encode() + b"\0")
    for source in sorted(Path(__file__).parent.glob("*.py")):
        state.update(source.name.encode() + b"\0" + source.read_bytes())
    return state.hexdigest()


def _cache_root() -> Path:
    """`$NUMBA_CACHE_DIR`, else the user's cache directory, else a private temporary directory."""
    if _config.CACHE_DIR:
        return Path(_config.CACHE_DIR)
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muse-stream"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError:
        return Path(tempfile.mkdtemp(prefix="muse-stream-"))


CACHE_DIRECTORY = _cache_root() / f"kernels-esu-{_digest()}"


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` for the argument types of its first call; it keeps its signature for the type checker."""
    before = _config.CACHE_DIR
    _config.CACHE_DIR = str(CACHE_DIRECTORY)
    try:
        return cast("Callable[P, R]", _njit(cache=True, **_FLAGS)(function))
    finally:
        _config.CACHE_DIR = before


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """Compile for calls from other kernels alone."""
    return cast("Callable[P, R]", _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_FLAGS)(function))
