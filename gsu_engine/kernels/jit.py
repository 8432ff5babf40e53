"""How this folder's kernels are compiled (see `state.compiled`), and names for scalars inside them.

Invariant: kernels of this folder call no kernel outside it, so that their cache sees every edit.
"""

from typing import Any

from muse_stream.state.compiled import Compiler, config, njit

Int = Any  # scalars inside kernels: numba infers them, NumPy's stubs do not
Real = Any
Truth = Any

_compiler = Compiler(__file__)
CACHE_DIRECTORY = _compiler.directory
kernel = _compiler.kernel
inner = _compiler.inner
pasted = _compiler.pasted
inlined = _compiler.inlined
compiled = njit

__all__ = ["CACHE_DIRECTORY", "Int", "Real", "Truth", "compiled", "config", "inlined", "inner", "kernel", "pasted"]
