"""What the status page costs a worker: `python -m tests.streams.worker.page.cost 16 256`, one table row each.

The processor time of the worker's threads is the kernel's own count, so that other work on the machine does not add to
it. The event loop runs in the main thread; the document is made in another.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from muse_stream.streams.errors import TopicError
from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.worker.page import FILES
from tests.streams.worker.installation import Installation, Worker
from tests.streams.worker.scoring import scoring_sections

DOCUMENTS = 200
IDLE_SECONDS = 10.0
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of processor time: of the event loop's thread, of all threads."""

    loop: float
    all: float

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.loop - other.loop, self.all - other.all)


def spent(process: int) -> Spent:
    tasks = Path(f"/proc/{process}/task")
    seconds = {task.name: int((task / "schedstat").read_text().split()[0]) / 1e9 for task in tasks.iterdir()}
    return Spent(seconds[str(process)], sum(seconds.values()))


def measure(worker: Worker, process: int) -> tuple[int, float, Spent]:
    """Bytes of a document, milliseconds until it is here, milliseconds of processor time for each."""
    begun, before = time.monotonic(), spent(process)
    time.sleep(IDLE_SECONDS)
    idle, idle_seconds = spent(process) - before, time.monotonic() - begun
    begun, before = time.monotonic(), spent(process)
    connection = HTTPConnection(worker.url.removeprefix("http://"), timeout=30)
    size = [len(fetch(connection)) for _ in range(DOCUMENTS)][-1]
    connection.close()
    seconds, busy = time.monotonic() - begun, spent(process) - before
    share = seconds / idle_seconds
    each = 1e3 / DOCUMENTS
    return size, seconds * each, Spent((busy.loop - idle.loop * share) * each, (busy.all - idle.all * share) * each)


def fetch(connection: HTTPConnection) -> bytes:
    """A document, on a connection that stays open as a browser's does."""
    connection.request("GET", "/v1/status")
    return connection.getresponse().read()


def row(kafka: EmbeddedKafka, partitions: int) -> str:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        sections: dict[str, Any] = {
            **scoring_sections(directory),
            "topics": {"prefix": f"cost{partitions}-", "partitions": partitions},
        }
        with _installed(directory, kafka, sections) as made:
            worker = made.worker().start()
            while not worker.ready():
                assert not worker.died(), worker.log.read_text()
                time.sleep(1)
            process = int(worker.get("/v1/status").body["worker"]["process"])
            size, whole_ms, each = measure(worker, process)
    return f"| {partitions} | {size:,} | {whole_ms:.2f} | {each.loop:.2f} | {each.all:.2f} |"


def _installed(directory: Path, kafka: EmbeddedKafka, sections: dict[str, Any]) -> Installation:
    """The topics, which a busy machine may make more slowly than the first attempt waits for."""
    for _ in range(ATTEMPTS):
        with suppress(TopicError):
            return Installation(directory, {"brokers": kafka.bootstrap}, **sections)
    return Installation(directory, {"brokers": kafka.bootstrap}, **sections)


def main(counts: Sequence[str]) -> None:
    package = Path(__file__).parents[4] / "streams" / "worker" / "page"
    sizes = {name: (package / name).stat().st_size for name in FILES}
    _write(f"page: {sum(sizes.values()):,} bytes ({', '.join(f'{name} {size:,}' for name, size in sizes.items())})")
    _write("| partitions | bytes | ms until here | ms of the event loop | ms of all threads |")
    _write("|---|---|---|---|---|")
    with EmbeddedKafka() as kafka:
        for count in counts:
            _write(row(kafka, int(count)))


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:] or ["16", "256"])
