"""One browser for all tests of this folder, and one worker that is asked and written to."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.streams.worker.alone.world import build_world
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Installation, Worker
from tests.streams.worker.page.browser import PROGRAM, Browser
from tests.streams.worker.scoring import scoring

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

ASK_SECONDS = 0.02


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@pytest.fixture(scope="package")
def installation(kafka: "EmbeddedKafka", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with scoring(tmp_path_factory.mktemp("page"), kafka) as made:
        yield made


@pytest.fixture(scope="package")
def worker(browser: Browser, installation: Installation) -> Iterator[Worker]:
    """A worker under a little load: behaviours and requests, one after the other."""
    del browser  # asked for first: without one nothing is started
    worker = installation.workers[0].wait_ready()
    with Client(installation) as client:
        build_world(worker, client)
        client.put(client.topics.behaviours, b"8", b"{no json")
        stopping = threading.Event()
        load = threading.Thread(target=_load, args=(client, stopping))
        load.start()
        yield worker
        stopping.set()
        load.join()


def _load(client: Client, stopping: threading.Event) -> None:
    number = 0
    while not stopping.wait(ASK_SECONDS):
        number += 1
        client.send(number % 8 + 1, list(range(1, 31)), want="both", k=5)
        if number % 2:
            client.behave(number % 8 + 1, number % 50 + 1)
