"""A real Prometheus that scrapes workers, as a process of its own.

Invariant: it never outlives this process, nor its directory the server: it runs under the broker's guard.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
import yaml

from muse_stream.streams.kafka.guarded import GuardedProcess, GuardedServer, log_tail
from muse_stream.streams.kafka.ports import free_ports
from tests.live.query import Client

PROGRAM = "prometheus"
READY_SECONDS = 60.0  # half a second on an idle machine
LOOK_SECONDS = 0.05
JOB = "muse-stream"


class PrometheusError(Exception):
    """It did not start; the text quotes its log."""


def program() -> str | None:
    """Path of the installed Prometheus, None where there is none."""
    return shutil.which(PROGRAM)


needs_prometheus = pytest.mark.skipif(
    program() is None, reason=f"needs the program {PROGRAM}: on Debian, apt install prometheus"
)


@dataclass(frozen=True, slots=True)
class Scraping:
    """What is scraped and evaluated.

    Attributes:
        urls: Base URLs of the workers.
        rules: Rule files.
        interval_seconds: Time between scrapes, and between evaluations of the rules.
        job: The value of the label `job`.

    """

    urls: Sequence[str]
    rules: Sequence[Path] = ()
    interval_seconds: float = 1.0
    job: str = JOB

    def document(self) -> dict[str, object]:
        """The server's configuration."""
        interval = f"{round(self.interval_seconds * 1e3)}ms"
        addresses = [url.removeprefix("http://") for url in self.urls]
        return {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(path.absolute()) for path in self.rules],
            "scrape_configs": [{"job_name": self.job, "static_configs": [{"targets": addresses}]}],
        }


class Prometheus(GuardedServer):
    """One server on 127.0.0.1 with a temporary directory; a context manager.

    Attributes:
        client: Its API.
        log: What it writes.

    """

    def __init__(self, scraping: Scraping) -> None:
        """Prepare; nothing runs yet. Raises `PrometheusError`: it is not installed."""
        found = program()
        if found is None:
            message = f"the program {PROGRAM} is not installed; on Debian: apt install prometheus"
            raise PrometheusError(message)
        self._program = found
        self._directory = Path(tempfile.mkdtemp(prefix="muse-stream-prometheus-"))
        (self._port,) = free_ports(1)
        self.client = Client(f"http://127.0.0.1:{self._port}")
        self.log = self._directory / "prometheus.log"
        config = yaml.safe_dump(scraping.document(), sort_keys=False)
        (self._directory / "prometheus.yml").write_text(config, encoding="utf-8")

    def start(self) -> Self:
        """Start it and wait until it can be asked. Raises `PrometheusError`."""
        command = [
            self._program,
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        ]
        self._process = GuardedProcess(command, log=self.log, temporary=self._directory)
        deadline = time.monotonic() + READY_SECONDS
        while not self.client.ready():
            if not self.running or time.monotonic() > deadline:
                message = f"{self._program} is not ready; the last lines of its log:\n{log_tail(self.log)}"
                raise PrometheusError(message)
            time.sleep(LOOK_SECONDS)
        return self

    def close(self) -> None:
        """End it and remove its directory."""
        self._end("discard")
        shutil.rmtree(self._directory, ignore_errors=True)
