"""benchmarks."""

import os

# Before NumPy loads its BLAS, whose threads otherwise spin for 0.05 s after a product, on the core of who comes next.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
