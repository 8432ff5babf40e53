"""The slow disk is slow where and while it should be, and what is written is written."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.drill.slow_disk import COMPILERS, compile_library, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason=f"needs a C compiler, one of {', '.join(COMPILERS)}")
DELAY_MS = 300
WRITER = "import os, sys; f = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY); os.write(f, b'x'); os.fsync(f)"


def seconds_to_write(library: Path, switch: Path, directory: Path, file: Path) -> float:
    own = {"LD_PRELOAD": str(library), "SLOW_DISK_SWITCH": str(switch), "SLOW_DISK_DIRECTORY": str(directory)}
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", WRITER, str(file)], env={**os.environ, **own}, check=True)
    assert file.read_bytes() == b"x"
    return time.monotonic() - began


def test_only_the_directory_is_slow_and_only_while_the_switch_is_there(tmp_path: Path) -> None:
    library, switch, directory = compile_library(tmp_path), tmp_path / "switch", tmp_path / "state"
    directory.mkdir()
    (tmp_path / "state-of-another").mkdir()
    inside = directory / "a"
    switch.write_text(str(DELAY_MS))
    assert seconds_to_write(library, switch, directory, inside) >= 2 * DELAY_MS / 1e3
    switch.write_text("100000")
    assert seconds_to_write(library, switch, directory, tmp_path / "state-of-another" / "a") < 100
    switch.unlink()
    assert seconds_to_write(library, switch, directory, inside) < 100
