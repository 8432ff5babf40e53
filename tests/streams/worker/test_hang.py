"""A worker that hangs notices and ends itself, for its supervisor; one whose brokers are away does not."""

import signal
import sys
from pathlib import Path

import pytest

from muse_stream.streams.kafka.embedded import EmbeddedKafka
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.worker.watchdog import EXIT_STUCK
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Installation, Worker, until

pytestmark = pytest.mark.kafka
STUCK_SECONDS = 5.0
PROGRAM = (sys.executable, str(Path(__file__).with_name("hanging.py")))


class HangingWorker(Worker):
    def end_status(self) -> int:
        """Wait until it ends by itself."""
        until(self.died, "the worker ends itself")
        assert self._process is not None
        return self._process.wait()


def furthest_lag_seconds(worker: Worker) -> float:
    return max((value for (name, _), value in worker.metrics().items() if name == "muse_ingest_lag_seconds"), default=0)


def test_a_hang_ends_the_worker_and_brokers_that_are_away_do_not(tmp_path: Path) -> None:
    app = {"stuck_seconds": STUCK_SECONDS, "on_stuck": "exit"}
    with EmbeddedKafka() as kafka, Installation(tmp_path, {"brokers": kafka.bootstrap}, app=app) as installation:
        worker = HangingWorker(tmp_path / "hanging", installation.tree, PROGRAM)
        installation.workers.append(worker)
        worker.start().wait_ready()
        with Client(installation) as client:
            assert client.ask(7, [1, 2]).status is Status.OK
            kafka.kill()
            until(
                lambda: furthest_lag_seconds(worker) > 2 * STUCK_SECONDS, "the brokers have been away for long", worker
            )
            kafka.start()
            assert client.ask(7, [1, 2]).status is Status.OK
            worker.signal(signal.SIGHUP)
            waiting = client.send(7, [3])
            assert worker.end_status() == EXIT_STUCK
            assert "stuck: requests/" in worker.log.read_text()
            worker.close()
            installation.worker().start().wait_ready()
            assert client.answer(waiting).status in (Status.OK, Status.EXPIRED)
