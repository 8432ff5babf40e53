"""Where the calling thread may run: everywhere while threads are started, on the first core while it is measured."""

import os

CORES = os.sched_getaffinity(0)
HOME = {min(CORES)}


def everywhere() -> None:
    """Threads started from here may run on all cores."""
    os.sched_setaffinity(0, CORES)


def at_home() -> None:
    """The calling thread is on the first core."""
    os.sched_setaffinity(0, HOME)
