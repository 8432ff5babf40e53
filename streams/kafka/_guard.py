"""The embedded broker's guard: starts it and sees to it that it never outlives the process that asked for it.

Invariant: when this process ends, so does the broker; when the parent ends, so does this process.

It runs as a script of its own, on nothing but the standard library, so that it starts in tens of milliseconds and has
exactly one thread: Linux ties PR_SET_PDEATHSIG to the *thread* that started the child, so the broker asks for it
against this process and not against whichever thread of the parent happened to call `start`.

Three things notice a dead parent: its end of the stdin pipe closes; if a fork of the parent still holds that end, the
parent's process id is no longer ours (looked at once a second); and if this guard itself is killed, the kernel kills
the broker. The last is Linux only.

Arguments: parent pid, log file, directory to remove if the parent dies ("" for none), then the broker's command.
stdout gets one line, the broker's process id. stdin takes one line, `stop` (orderly), `kill`, or `discard` (kill and
remove the directory). The exit status is the broker's.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 30  # an orderly shutdown takes about one; a broker that hangs must not keep its parent for ever
_LOOK_SECONDS = 1.0


def _die_with(guard_pid: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def ask() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard_pid:  # the guard died before the kernel knew of the wish
            os._exit(1)

    return ask


def _signals() -> int:
    """Turn SIGCHLD and SIGTERM into bytes of a pipe and ignore the terminal's; returns the pipe's readable end."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return readable


def _next_word(parent_pid: int, signals: int, running: Callable[[], bool]) -> str:
    """Wait for what comes first: `stop`, `kill`, `discard`, `exited` (the broker) or `orphaned`."""
    while running():
        ready, _, _ = select.select([0, signals], [], [], _LOOK_SECONDS)
        if signals in ready and signal.SIGTERM in os.read(signals, 64):
            return "stop"
        if 0 in ready:
            return os.read(0, 64).decode().strip() or "orphaned"
        if os.getppid() != parent_pid:
            return "orphaned"
    return "exited"


def _end(broker: "subprocess.Popen[bytes]", *, orderly: bool) -> None:
    if orderly:
        broker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            broker.wait(_STOP_SECONDS)
    if broker.poll() is None:
        broker.kill()
    broker.wait()


def main(arguments: list[str]) -> int:
    """Run the broker until it ends, the parent ends or the parent asks for it; returns the broker's exit status."""
    parent, log_path, temporary, *command = arguments
    signals = _signals()
    with open(log_path, "ab") as log:
        broker = subprocess.Popen(  # noqa: S603 - the command is our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
        )
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{broker.pid}\n".encode())
    word = _next_word(int(parent), signals, lambda: broker.poll() is None)
    _end(broker, orderly=word == "stop")
    if temporary and (word in ("orphaned", "discard") or os.getppid() != int(parent)):
        shutil.rmtree(temporary, ignore_errors=True)
    return broker.returncode & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
