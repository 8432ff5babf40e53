"""The priority of threads whose work nobody waits for: models to come, the shadow.

Linux has one per thread, which threads that it starts inherit; nobody but root can raise it again. So no thread that
does this may start one that requests depend on.
"""

import os
import sys
import threading

NICE = 5
"""A third of the processor time that a thread of a pass gets where both want it, and all of it where nobody does.

Not less: who holds the interpreter and does not get a core holds up all of Python. On two cores with others at work,
the interpreter's longest stalls while a model came in were 2.1 times those before it at nice 10, 1.3 times at nice 5
(medians of six runs each)."""


def lower() -> bool:
    """Let this thread go behind others; says whether the system could."""
    if sys.platform != "linux":
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    except OSError:
        return False
    return True
