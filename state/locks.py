"""Who may write a store's directory: one object of one process, from before RocksDB opens it until after it closes.

Invariant: while it is held, nobody else of this program mends, opens or writes the directory.

RocksDB has a lock of its own, which is taken too late for mending and which any other use of its file in the process
would drop (POSIX locks belong to the process). This one is `flock` on a file of ours: it belongs to the open file, two
objects of one process exclude each other as well, and the kernel drops it with the process.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from muse_stream.state.errors import StoreLockedError

LOCK_NAME = "WRITER"


class WriterLock:
    """The lock of one directory."""

    def __init__(self, file: int) -> None:
        self._file: int | None = file

    @classmethod
    def take(cls, path: Path) -> "WriterLock":
        """Take it at once or not at all; creates the directory.

        Raises:
            StoreLockedError: Somebody has it.
            OSError: The disk refuses.

        """
        path.mkdir(parents=True, exist_ok=True)
        file = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(file)
            action = "stop the other process (or close the other store object) that uses this directory."
            raise StoreLockedError(path, "it is open elsewhere.", action) from error
        except BaseException:
            os.close(file)
            raise
        return cls(file)

    def release(self) -> None:
        """Let go of it; twice does nothing."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)
