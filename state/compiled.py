"""The one way kernels are compiled: numba, without the GIL, kept on disk between runs.

Invariant: a kernel is never run from a cache that other sources made. Numba's own check sees the file of the kernel but
not its callees in other files, so the cache directory is named by a digest of all sources beside the kernel, numba,
llvmlite and the CPU: an edit anywhere starts a new directory, and old ones can be deleted at any time.
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
from llvmlite import binding

P = ParamSpec("P")
R = TypeVar("R")

config: Any = numba.config
njit: Any = numba.njit  # its annotations leave out flags that it has


def digest(folder: Path) -> str:
    """Names what code compiled from the sources in `folder` depends on."""
    features = binding.get_host_cpu_features().flatten()
    state = hashlib.blake2b(digest_size=8)
    for part in (numba.__version__, llvmlite.__version__, binding.get_host_cpu_name(), features):
        state.update(part.encode() + b"\0")
    for source in sorted(folder.glob("*.py")):
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


class Compiler:
    """Compiles the kernels of one folder; they may call each other across its files, and none outside it.

    Attributes:
        directory: Where compiled code is kept.

    """

    def __init__(self, source: str) -> None:
        """Name the cache; `source` is `__file__` of a module in the folder."""
        folder = Path(source).resolve().parent
        self.directory = cache_root() / f"kernels-{folder.name}-{digest(folder)}"

    def kernel(self, function: Callable[P, R]) -> Callable[P, R]:
        """Compile `function` for the argument types of its first call; it keeps its signature for the type checker."""
        before = config.CACHE_DIR
        config.CACHE_DIR = str(self.directory)
        try:
            return cast("Callable[P, R]", njit(nogil=True, cache=True)(function))
        finally:
            config.CACHE_DIR = before

    @staticmethod
    def inner(function: Callable[P, R]) -> Callable[P, R]:
        """Compile for calls from other kernels alone: a Python entry point would take longer than the kernel."""
        return cast("Callable[P, R]", njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function))

    @staticmethod
    def pasted(function: Callable[P, R]) -> Callable[P, R]:
        """The same, put into each caller's machine code: where a call with its many arguments would show."""
        options = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
        return cast("Callable[P, R]", njit(**options)(function))

    @staticmethod
    def inlined(function: Callable[P, R]) -> Callable[P, R]:
        """Compile as part of the kernels that call it."""
        return cast("Callable[P, R]", njit(nogil=True, inline="always")(function))


compiled = Compiler(__file__).kernel


@compiled
def mix(value: np.uint64) -> np.uint64:
    """Spread a uint64 over all 64 bits (the finaliser of splitmix64, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
