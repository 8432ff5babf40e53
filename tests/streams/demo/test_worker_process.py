import sys
from pathlib import Path

import pytest

from muse_stream.streams.demo.worker_process import WorkerProcess, worker_command
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


def test_the_command_is_the_cli_of_this_python(tmp_path: Path) -> None:
    command = worker_command(tmp_path / "demo.yaml")
    assert command[0] == sys.executable
    assert command[-3:] == ["worker", "--config", str(tmp_path / "demo.yaml")]
