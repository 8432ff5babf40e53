"""One worker as a process of its own, as an operator would start it.

Invariant: the process never outlives the demo, however the demo ends: it runs under the same guard as the broker.
"""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from muse_stream.streams.demo.http import get_json
from muse_stream.streams.errors import DemoError
from muse_stream.streams.kafka.guarded import GuardedProcess, GuardedServer, log_tail

READY_SECONDS = 150.0  # 8 s on an idle two-core machine; a first start compiles for up to a minute, busy ones longer
_POLL_SECONDS = 0.1
_OWN_LINE = re.compile(r"^\S+ INFO +streams\.worker\.\S+: (.+)$", re.MULTILINE)


def worker_command(config: Path) -> list[str]:
    """`muse-stream worker --config FILE`, with this Python."""
    return [sys.executable, "-m", "muse_stream.streams.cli", "worker", "--config", str(config)]


def own_lines(log: Path) -> list[str]:
    """What a worker says of its own start: the texts of the lines that `streams.worker` logged."""
    if not log.is_file():
        return []
    return _OWN_LINE.findall(log.read_text(encoding="utf-8", errors="replace"))


class WorkerProcess(GuardedServer):
    """A command that serves a worker's web routes; a context manager: starts on entry, stops in order on exit.

    Args:
        command: What to run.
        url: Base URL of its web server.
        log: File that gets its output.
        temporary: Directory to remove if this process dies before it stops the worker.

    """

    def __init__(self, command: list[str], *, url: str, log: Path, temporary: Path | None = None) -> None:
        self._temporary = temporary
        self._command = command
        self.url = url
        self.log = log

    def start(self) -> Self:
        """Start the process; it is not ready yet. Raises `BrokerError`: it could not be started."""
        self._process = GuardedProcess(self._command, log=self.log, temporary=self._temporary)
        return self

    def wait_ready(self, seconds: float = READY_SECONDS, *, on_line: Callable[[str], None] = lambda line: None) -> None:
        """Wait until the worker says that it is ready.

        Args:
            seconds: How long at most.
            on_line: Told what the worker logs of its own start, line by line.

        Raises:
            DemoError: It ended, or was not ready in time; the text quotes its log.

        """
        deadline, told = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            lines = own_lines(self.log)
            for line in lines[told:]:
                on_line(line)
            told = len(lines)
            if not self.running:
                raise DemoError(self._failure("the worker ended before it was ready"))
            if get_json(f"{self.url}/health/ready").status == 200:
                return
            time.sleep(_POLL_SECONDS)
        raise DemoError(self._failure(f"the worker was not ready within {seconds:.0f} s"))

    def check_running(self) -> None:
        """Raise `DemoError` if the process has ended."""
        if not self.running:
            raise DemoError(self._failure("the worker ended"))

    @property
    def pid(self) -> int:
        """Its process id. Raises `DemoError`: it does not run."""
        if self._process is None:
            raise DemoError(self._failure("the worker was not started"))
        return self._process.pid

    def kill(self) -> None:
        """End it as `kill -9` does; `start` starts it again."""
        self._end("kill")

    def stop(self) -> None:
        """End it in order (SIGTERM)."""
        self._end("stop")

    def close(self) -> None:
        """As `stop`."""
        self.stop()

    def _failure(self, found: str) -> str:
        return f"{found}; the last lines of {self.log}:\n{log_tail(self.log) or '(empty)'}"
