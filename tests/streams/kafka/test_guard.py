"""Nothing that was started under guard outlives the process that started it, whatever ends that process."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil
import pytest

from muse_stream.streams.errors import BrokerError
from muse_stream.streams.kafka.guarded import GuardedProcess, GuardedServer, log_tail

SLEEPER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(7));print('here', flush=True); time.sleep(600)",
]
# Starts a guarded sleeper from a thread that ends at once, optionally leaves a fork that holds the guard's pipe, tells
# both process ids and waits to be killed.
PARENT = """
import os, sys, threading, time
from pathlib import Path
from muse_stream.streams.kafka.guarded import GuardedProcess
log, temporary, fork = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "fork"
started = []
def start():
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    started.append(GuardedProcess(command, log=log, temporary=temporary))
thread = threading.Thread(target=start)
thread.start()
thread.join()
child = os.fork() if fork else -1
if child == 0:
    time.sleep(600)
print(started[0].pid, child, flush=True)
time.sleep(600)
"""
SECONDS = 20.0  # an upper bound for what takes milliseconds, or one look of the guard


def gone(pid: int) -> None:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    try:
        process.wait(SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        pytest.fail(f"process {pid} is still there")


def wait_for_log(log: Path) -> None:
    done = threading.Event()
    for _ in range(400):
        if "here" in log_tail(log):
            return
        done.wait(0.05)
    pytest.fail("the process never wrote its log")


def wait_removed(path: Path) -> None:
    done = threading.Event()
    for _ in range(400):
        if not path.exists():
            return
        done.wait(0.05)
    pytest.fail(f"{path} is still there")


def start_parent(tmp_path: Path, fork: str) -> tuple["subprocess.Popen[str]", int, int, Path]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-W", "ignore", "-c", PARENT, str(tmp_path / "log"), str(temporary), fork]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, child = map(int, parent.stdout.readline().split())
    return parent, pid, child, temporary


@pytest.mark.parametrize("fork", ["plain", "fork"])
def test_killed_parent_takes_the_process_along(tmp_path: Path, fork: str) -> None:
    parent, pid, child, temporary = start_parent(tmp_path, fork)
    assert parent.stdout is not None
    assert psutil.pid_exists(pid)
    try:
        parent.kill()
        parent.wait()
        gone(pid)
        wait_removed(temporary)
    finally:
        parent.stdout.close()
        if child > 0:
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_killed_guard_takes_the_process_along(tmp_path: Path) -> None:
    process = GuardedProcess(SLEEPER, log=tmp_path / "log", temporary=None)
    guard = psutil.Process(process.pid).parent()
    assert guard is not None
    guard.kill()
    gone(process.pid)
    assert not process.running()
    process.end("kill")


def test_stop_is_orderly_and_kill_is_not(tmp_path: Path) -> None:
    for word, status in (("stop", 7), ("kill", 256 - signal.SIGKILL)):
        log = tmp_path / word
        process = GuardedProcess(STUBBORN, log=log, temporary=None)
        wait_for_log(log)
        assert process.running()
        assert process.end(word) == status
        assert process.end(word) == status
        gone(process.pid)


def test_end_of_the_process_is_seen(tmp_path: Path) -> None:
    process = GuardedProcess([sys.executable, "-c", "exit(3)"], log=tmp_path / "log", temporary=None)
    assert process.wait() == 3
    assert not process.running()
    assert process.end("stop") == 3


@pytest.mark.parametrize(("word", "stays"), [("stop", True), ("kill", True), ("discard", False)])
def test_directory_goes_only_when_told(tmp_path: Path, word: str, stays: bool) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    GuardedProcess(SLEEPER, log=tmp_path / "log", temporary=temporary).end(word)
    assert temporary.is_dir() == stays


def test_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="no-such-command"):
        GuardedProcess(["/no-such-command"], log=tmp_path / "log", temporary=None)


class Server(GuardedServer):
    """Sleeps; its start may fail when the process is there already."""

    def __init__(self, log: Path, failure: Exception | None = None) -> None:
        self._log, self._failure = log, failure
        self.pids: list[int] = []

    def start(self) -> Self:
        self._process = GuardedProcess(SLEEPER, log=self._log, temporary=None)
        self.pids.append(self._process.pid)
        if self._failure:
            raise self._failure
        return self

    def close(self) -> None:
        self._end("kill")


def test_a_server_ends_with_its_context_and_may_start_again(tmp_path: Path) -> None:
    server = Server(tmp_path / "log")
    for _ in range(2):
        with server:
            assert psutil.pid_exists(server.pids[-1])
        assert not server.running
    server.close()
    first, second = server.pids
    gone(first)
    gone(second)


def test_a_server_whose_start_fails_is_closed(tmp_path: Path) -> None:
    server = Server(tmp_path / "log", BrokerError("not ready"))
    with ExitStack() as stack, pytest.raises(BrokerError, match="not ready"):
        stack.enter_context(server)
    assert not server.running
    gone(*server.pids)


def test_log_tail_reads_from_a_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ""
    log.write_text("one\ntwo\nthree\n")
    assert log_tail(log, lines=2) == "two\nthree"
    assert log_tail(log, start=8) == "three"
