"""The one way this room compiles a kernel: numba, cached on disk, without the GIL.

Invariant: a compiled function keeps its Python signature for the type checker.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` for the argument types of its first call; it runs without the GIL."""
    return cast("Callable[P, R]", numba.njit(cache=True, nogil=True)(function))


@compiled
def mix(value: np.uint64) -> np.uint64:
    """Spread a uint64 over all 64 bits (the finaliser of splitmix64, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
