"""Which GPU there is, or why none can be used; and what a result has to name.

python -m muse_stream.benchmarks.gpu_machine FIGURES.json     prints the name of the file for such figures
"""

import importlib
import os
import re
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from muse_stream.benchmarks.report import Line
from muse_stream.gsu_engine.cuda.cupy_device import open_device
from muse_stream.gsu_engine.errors import GsuError

ROOT = Path(__file__).resolve().parent.parent
DRIVER = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine(Line):
    """What was measured on.

    Attributes:
        device: The GPU's model; None: no device is usable.
        why: Why none is, or why this one.
        driver: Version of NVIDIA's driver.
        cuda: Release of CUDA that CuPy runs on.
        cupy: CuPy's version.
        torch: Torch's version.
        commit: Of this repository.
        date: Day (UTC).

    """

    device: str | None
    why: str
    driver: str | None = None
    cuda: str | None = None
    cupy: str | None = None
    torch: str | None = None
    commit: str | None = None
    date: str = ""

    @property
    def file_name(self) -> str:
        """Where its figures are kept: device and day."""
        return f"gpu-{re.sub(r'[^a-z0-9]+', '-', (self.device or 'none').lower()).strip('-')}-{self.date}.json"


def look() -> Machine:
    """The machine that this runs on."""
    none = Machine("machine", None, "", device=None, why="", commit=commit(), date=datetime.now(UTC).date().isoformat())
    try:
        why = f"device {open_device().name}"
        cupy = importlib.import_module("cupy")
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        release = cupy.cuda.runtime.runtimeGetVersion()
    except (GsuError, ImportError, RuntimeError, OSError) as error:
        return replace(none, why=str(error))
    cuda = f"{release // 1000}.{release % 1000 // 10}"
    found = replace(none, device=device, why=why, driver=told(*DRIVER), cuda=cuda)
    return replace(found, cupy=str(cupy.__version__), torch=_version("torch"))


def commit() -> str | None:
    """Of this checkout, `-dirty` where files were changed; None outside of git, where `COMMIT` does not say it."""
    named = told("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return named or os.environ.get("COMMIT")


def told(*command: str) -> str | None:
    """First line of what a command prints; None where it cannot be run."""
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return lines[0].strip() if lines else None


def _version(module: str) -> str | None:
    try:
        return str(importlib.import_module(module).__version__)
    except ImportError:
        return None
