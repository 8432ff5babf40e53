"""The unit, by systemd's own tools."""

import re
import subprocess
from pathlib import Path

import pytest

from muse_stream.streams.settings import Settings
from muse_stream.streams.worker.watchdog import EXIT_STUCK

from .files import DEPLOY, program

UNIT = DEPLOY / "systemd/muse-stream-worker.service"
TEXT = UNIT.read_text(encoding="utf-8")
EXPOSURE_MAX = 20
"""Tenths of what `systemd-analyze security` finds, of 100; without the hardening it is 96."""


def value_of(key: str) -> str:
    (found,) = re.findall(rf"^{key}=(.*)$", TEXT, re.MULTILINE)
    return str(found)


@pytest.fixture
def runnable(tmp_path: Path) -> Path:
    """The same unit with a program that is here."""
    path = tmp_path / UNIT.name
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", TEXT, flags=re.MULTILINE), encoding="utf-8")
    return path


def test_systemd_takes_it(runnable: Path) -> None:
    analyze = program("systemd-analyze")
    done = subprocess.run([analyze, "verify", str(runnable)], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert ours == []


def test_it_gives_away_little(runnable: Path) -> None:
    analyze = program("systemd-analyze")
    command = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(runnable)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout[-300:]


def test_it_starts_a_worker_and_gives_it_time_to_stop() -> None:
    assert value_of("ExecStart").split()[1:] == ["worker", "--config", "/etc/muse-stream/muse.yaml"]
    assert int(value_of("TimeoutStopSec")) >= Settings().app.drain_seconds + 60
    assert value_of("Restart") == "on-failure"
    assert f"Status {EXIT_STUCK}:" in TEXT
