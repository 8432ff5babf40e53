"""A small file system in memory, of a mount namespace of its own, for programs that must meet a full disk.

run("tests.state.full_disk", "behaviours", directory)    # a module with a function of that name, which asserts
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISK_BYTES = 8 << 20


def _unshared(directory: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    mount = f'mount -t tmpfs -o size={DISK_BYTES} none "$0" && exec "$@"'
    unshare = ["unshare", "-rm", "sh", "-c", mount, str(directory), *command]
    return subprocess.run(unshare, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def run(module: str, case: str, directory: Path) -> None:
    """Run `case` of `module` in a child, with a small disk at `directory`; skips where that cannot be made."""
    try:
        tried = _unshared(directory, "true")
    except FileNotFoundError:
        pytest.skip("no unshare here, so no small disk")
    if tried.returncode:
        pytest.skip(f"no mount namespace here, so no small disk: {tried.stderr.strip()}")
    done = _unshared(directory, sys.executable, "-m", module, case, str(directory))
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-6_000:]


def child(cases: dict[str, Callable[[Path], None]]) -> None:
    """Be that child: `module case directory`."""
    cases[sys.argv[1]](Path(sys.argv[2]))


class Ballast:
    """A file that takes what space there is, but for some; removed, there is space again."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "ballast"

    def leave(self, spare_bytes: int) -> None:
        """Fill the disk but for so many bytes."""
        self.remove()
        with self._file.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64 << 10))
            except OSError:
                file.truncate(max(0, file.tell() - spare_bytes))

    def remove(self) -> None:
        """Give the space back."""
        self._file.unlink(missing_ok=True)


def remount(disk: Path, option: str) -> bool:
    """Change a mount, say to `ro`; False while something on it is open for writing."""
    command = ["mount", "-o", f"remount,{option}", str(disk)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
