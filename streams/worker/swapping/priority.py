"""The priority of threads whose work nobody waits for: models to come, the shadow.

Linux has one per thread, which threads that it starts inherit; nobody but root can raise it again. So no thread that
does this may start one that requests depend on.
"""

import os
import sys
import threading

NICE = 10
"""A tenth of the processor time that a thread of a pass gets where both want it, and all of it where nobody does."""


def lower() -> bool:
    """Let this thread go behind others; says whether the system could."""
    if sys.platform != "linux":
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    except OSError:
        return False
    return True
