"""How this folder's kernels are compiled (see `state.compiled`).

Invariant: kernels of this folder call no kernel outside it, so that their cache sees every edit.
"""

from muse_stream.state.compiled import Compiler

kernel = Compiler(__file__).kernel
inlined = Compiler.inlined
