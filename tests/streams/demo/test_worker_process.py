import sys
from pathlib import Path

import pytest

from muse_stream.streams.demo.blow import Blow
from muse_stream.streams.demo.worker_process import WorkerProcess, own_lines, worker_command
from muse_stream.streams.errors import DemoError

NOBODY = "http://127.0.0.1:9"


def test_a_worker_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('the port is taken')"]
    with (
        WorkerProcess(command, url=NOBODY, log=tmp_path / "log") as worker,
        pytest.raises(DemoError, match=r"(?s)ended before it was ready.*the port is taken"),
    ):
        worker.wait_ready()


def test_a_worker_that_is_never_ready_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with WorkerProcess(command, url=NOBODY, log=tmp_path / "log") as worker:
        worker.check_running()
        with pytest.raises(DemoError, match="not ready within 0 s"):
            worker.wait_ready(seconds=0.2)
    with pytest.raises(DemoError, match="the worker ended"):
        worker.check_running()


def test_a_worker_is_struck_once_when_enough_was_sent_and_started_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    told: list[str] = []
    with WorkerProcess(command, url=NOBODY, log=tmp_path / "log") as worker:
        blow = Blow(worker, told.append)
        for sent in (0, 49, 50, 51, 100):
            blow.look(sent, 100)
        worker.check_running()
    assert told == ["kill -9 after 50 purchases; the worker is started again"]


def test_what_the_worker_says_of_its_start_is_told_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = ["08:22:13.262 INFO    streams.worker.warm_up: loading kernels", "08:22:13.3 INFO    kafka.net: noise", "x"]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert own_lines(log) == ["loading kernels"]
    told: list[str] = []
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with WorkerProcess(command, url=NOBODY, log=log) as worker, pytest.raises(DemoError):
        worker.wait_ready(seconds=0.5, on_line=told.append)
    assert told == ["loading kernels"]


def test_the_command_is_the_cli_of_this_python(tmp_path: Path) -> None:
    command = worker_command(tmp_path / "demo.yaml")
    assert command[0] == sys.executable
    assert command[-3:] == ["worker", "--config", str(tmp_path / "demo.yaml")]
