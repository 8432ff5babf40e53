"""A worker that a drill can break from outside: `python worker.py LIBRARY worker --config FILE`.

A fault is a file beside FILE that is there while the fault is: `paused` makes the consumer of
behaviours give nothing, as one does that has lost its fetcher; `slow-disk` is read by LIBRARY (see `slow_disk.c`),
under which the process starts itself anew. The product has no such hooks; all of it is done to it from here.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

PAUSED, SLOW_DISK = "paused", "slow-disk"
PRELOAD = "LD_PRELOAD"


def program(library: Path) -> tuple[str, ...]:
    """What starts such a worker."""
    return sys.executable, __file__, str(library)


def preload(library: str, directory: Path) -> None:
    """Start this program anew under the library; returns where it is there already."""
    if os.environ.get(PRELOAD) == library:
        return
    switch, state = str(directory / SLOW_DISK), str(directory / "state")
    os.environ |= {PRELOAD: library, "SLOW_DISK_SWITCH": switch, "SLOW_DISK_DIRECTORY": state}
    os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 -- itself


def make_pausable(switch: Path) -> None:
    """Let the consumer that ingest reads with be silent while `switch` exists."""
    from muse_stream.streams.kafka.consumer_python import PythonConsumer

    poll = PythonConsumer.poll

    def silent_or_poll(self: Any, max_records: int, timeout_ms: int) -> Any:
        if self._options.client_id.endswith("-ingest") and switch.exists():
            time.sleep(timeout_ms / 1e3)
            return []
        return poll(self, max_records, timeout_ms)

    PythonConsumer.poll = silent_or_poll  # type: ignore[method-assign]


def begin(library: str, arguments: list[str]) -> int:
    """Run the command line of `muse-stream`."""
    directory = Path(arguments[-1]).absolute().parent
    preload(library, directory)
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from muse_stream.streams.cli import main

    make_pausable(directory / PAUSED)
    return int(main(arguments) or 0)


if __name__ == "__main__":
    sys.exit(begin(sys.argv[1], sys.argv[2:]))
