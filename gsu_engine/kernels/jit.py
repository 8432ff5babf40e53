"""The compiler's settings, and where compiled kernels are kept between runs.

Invariant: a kernel is never run from a cache that other sources made. Numba's own check sees the file of the kernel
but not its callees in other files, so the directory is named by a digest of all kernel sources, numba, llvmlite and
the CPU: an edit anywhere starts a new directory, and old ones can be deleted at any time.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
from llvmlite import binding

config: Any = numba.config
compiled: Any = numba.njit  # its annotations leave out the flags of `inner`
Int = Any  # scalars inside kernels: numba infers them, NumPy's stubs do not
Real = Any
Truth = Any
Function = TypeVar("Function", bound=Callable[..., Any])


def digest() -> str:
    """Names what compiled code depends on."""
    features = binding.get_host_cpu_features().flatten()
    state = hashlib.blake2b(digest_size=8)
    for part in (numba.__version__, llvmlite.__version__, binding.get_host_cpu_name(), features):
        state.update(part.encode() + b"\0")
    for source in sorted(Path(__file__).parent.glob("*.py")):
        state.update(source.name.encode() + b"\0" + source.read_bytes())
    return state.hexdigest()


def cache_root() -> Path:
    """`$NUMBA_CACHE_DIR`, else the user's cache directory, else a private temporary directory."""
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR)
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muse-stream"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError:
        return Path(tempfile.mkdtemp(prefix="muse-stream-"))


CACHE_DIRECTORY = cache_root() / f"kernels-{digest()}"


def kernel(function: Function) -> Function:
    """Compile at first call, without the GIL, for this CPU; keep the result in `CACHE_DIRECTORY`."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(CACHE_DIRECTORY)
    try:
        return cast("Function", compiled(nogil=True, cache=True)(function))
    finally:
        config.CACHE_DIR = before


def inner(function: Function) -> Function:
    """Compile for calls from other kernels alone: no Python entry point, which would take longer than the kernel."""
    return cast("Function", compiled(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function))


def inlined(function: Function) -> Function:
    """Compile as part of the kernels that call it."""
    return cast("Function", compiled(nogil=True, inline="always")(function))
