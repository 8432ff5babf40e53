"""The calling thread may run everywhere: OpenMP takes that away, and threads started later inherit what is left."""

import os

CORES = os.sched_getaffinity(0)


def everywhere() -> None:
    """The calling thread, and threads started from here, may run on all cores."""
    os.sched_setaffinity(0, CORES)
