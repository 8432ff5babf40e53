"""Memory that was freed, given back to the system."""

import ctypes
from collections.abc import Callable
from functools import cache


@cache
def _trim() -> Callable[[int], int] | None:
    """What the C library has for it; None where it has nothing (glibc has)."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return found


def give_back() -> bool:
    """Let the C library return what it keeps of freed memory; says whether it could. Takes tens of milliseconds.

    A model that was read, checked and let go leaves as much as it takes itself, which glibc would keep.
    """
    trim = _trim()
    if trim is None:
        return False
    trim(0)
    return True
