"""How much memory a process holds."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

MIB = 1 << 20


def resident_mib(process: psutil.Process) -> float:
    """What is resident now, MiB."""
    resident: int = process.memory_info().rss
    return resident / MIB


@contextmanager
def most_resident(process: psutil.Process, look_seconds: float) -> Iterator[list[float]]:
    """The most that is resident meanwhile, MiB, by a look every so often."""
    most, stopping = [0.0], threading.Event()

    def look() -> None:
        while not stopping.wait(look_seconds):
            most[0] = max(most[0], resident_mib(process))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        stopping.set()
        thread.join()
