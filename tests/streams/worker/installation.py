"""One test's installation: topics under a prefix of its own, workers as an operator starts them.

A worker is a process of its own (`muse-stream worker --config FILE`) with its own state directory and port. It runs
under the guard that the embedded broker runs under, so it never outlives the tests.
"""

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from muse_stream.streams.clients import open_admin, wanted_topics
from muse_stream.streams.demo.http import Reply, get_json, post_json
from muse_stream.streams.kafka.guarded import GuardedProcess, GuardedServer, log_tail
from muse_stream.streams.kafka.ports import free_ports
from muse_stream.streams.kafka.topic_admin import ensure_topics
from muse_stream.streams.settings import Settings

PATIENCE_SECONDS = 90.0
"""How long a condition may take on a machine that is busy with other things; on an idle one most take under 2 s."""
DIMENSION = 64
LOOK_SECONDS = 0.05
PROGRAM = (sys.executable, "-m", "muse_stream.streams.cli")
"""What a worker is started with; a test may have one of its own that ends in the same command line."""

Tree = dict[str, Any]


def until(condition: Callable[[], Any], what: str, *workers: "Worker") -> None:
    """Wait for a condition; where it does not come, or a worker ends, say what was waited for and what they said."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline or any(worker.died() for worker in workers):
            words = "\n".join(f"{worker.log}:\n{log_tail(worker.log, lines=40)}" for worker in workers)
            message = f"waited in vain: {what}\n{words}"
            raise AssertionError(message)
        time.sleep(LOOK_SECONDS)


class Worker(GuardedServer):
    """One worker's process, configuration and directory; can be started again after it was stopped or killed."""

    def __init__(self, directory: Path, tree: Tree, program: Sequence[str] = PROGRAM) -> None:
        directory.mkdir(parents=True)
        self._program = program
        (port,) = free_ports(1)
        self.state = directory / "state"
        self.config = directory / "worker.yaml"
        self.log = directory / "worker.log"
        self.url = f"http://127.0.0.1:{port}"
        own = {"http": {"port": port}, "state": {**tree.get("state", {}), "directory": str(self.state)}}
        self.config.write_text(yaml.safe_dump({**tree, **own}), encoding="utf-8")

    def died(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and not self._process.running()

    def signal(self, number: int) -> None:
        """Send a signal to the worker itself; nothing where it has ended."""
        if self._process is not None and self._process.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def start(self) -> Self:
        command = [*self._program, "worker", "--config", str(self.config)]
        self._process = GuardedProcess(command, log=self.log, temporary=None)
        return self

    def wait_ready(self) -> Self:
        until(self.ready, f"{self.url} is ready", self)
        return self

    def stop(self) -> int:
        """End it by SIGTERM; its exit status."""
        assert self._process is not None
        status = self._process.end("stop")
        self._process = None
        return status

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        self._end("kill")

    def close(self) -> None:
        """Make sure that it does not run."""
        self._end("kill")

    def get(self, path: str) -> Reply:
        return get_json(self.url + path)

    def post(self, path: str, body: bytes) -> Reply:
        return post_json(self.url + path, body)

    def ready(self) -> bool:
        return self.get("/health/ready").status == 200

    def owned(self) -> set[int]:
        return set(self.get("/v1/status").body.get("owned", ()))

    def position(self, topic: str, partition: int) -> int:
        """Next offset that the open store of a partition wants, -1 where there is none."""
        found = self.get("/v1/status").body["partitions"]
        logs = {one["partition"]: one["logs"] for one in found}
        return int(logs.get(partition, {}).get(topic, {}).get("position", -1))

    def wait_items(self, topic: str, position: int) -> None:
        """Wait until it has read the items before a position."""
        until(lambda: self.get("/v1/status").body["items"]["logs"][topic]["position"] >= position, "items", self)

    def metrics(self) -> dict[tuple[str, str], float]:
        """Samples by name and by the values of their labels, joined by commas."""
        import urllib.request

        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as response:  # noqa: S310
            text = response.read().decode()
        return {
            (sample.name, ",".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


class Installation:
    """Topics, settings, workers; a context manager that leaves nothing running.

    Attributes:
        program: What further workers are started with.

    """

    program: Sequence[str] = PROGRAM

    def __init__(self, directory: Path, kafka: Mapping[str, Any], **sections: Mapping[str, Any]) -> None:
        """Create the topics. `kafka` is that section of the settings, `sections` add to the others."""
        prefix = f"w{uuid.uuid4().hex[:8]}-"
        usual: Tree = {
            "app": {"name": f"{prefix}app", "session_timeout_seconds": 6},
            "topics": {"prefix": prefix, "partitions": 4},
            "state": {"block_cache_bytes": 16 << 20, "write_buffer_bytes": 32 << 20},
            "items": {"spaces": {"v1": DIMENSION}},
            "engine": {"threads": 1},
            "monitoring": {"summary_interval_seconds": 0},
            "canary": {"interval_seconds": 0},  # tests that count records want their own alone
        }
        merged = {name: {**usual.get(name, {}), **sections.get(name, {})} for name in usual | sections}
        self.tree: Tree = {"kafka": dict(kafka), **merged}
        self.directory = directory
        self.workers: list[Worker] = []
        config = directory / "clients.yaml"
        config.write_text(yaml.safe_dump(self.tree), encoding="utf-8")
        self.settings = Settings.load(config)
        self.topics = self.settings.topics
        with open_admin(self.settings) as admin:
            ensure_topics(admin, wanted_topics(self.settings))

    def worker(self) -> Worker:
        """A further worker, not started."""
        self.workers.append(Worker(self.directory / f"worker-{len(self.workers)}", self.tree, self.program))
        return self.workers[-1]

    def __enter__(self) -> "Installation":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.close()
