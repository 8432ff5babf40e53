"""The files of deploy/, as data, and the settings that they name."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from muse_stream.streams.settings import Settings
from muse_stream.streams.settings.problems import leaves

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLE = re.compile(r"\bMUSE_[A-Z_]+[A-Z]\b")

VARIABLES = frozenset({"MUSE_CONFIG"} | {"MUSE_" + "__".join(path).upper() for path, _ in leaves(Settings)})
"""Every environment variable that a worker knows."""
PORT = Settings().http.port


def documents(path: Path) -> list[Any]:
    """Every document of a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def document(path: Path) -> Any:
    """The only one."""
    (found,) = documents(path)
    return found


def texts() -> list[Path]:
    """Every file that an operator reads or uses; the boards and the rules have tests of their own."""
    kinds = {".yml", ".yaml", ".service", ".md", ".dockerignore"}
    found = sorted(DEPLOY.rglob("*"))
    return [path for path in found if path.suffix in kinds or path.name == "Dockerfile"]


def program(*names: str) -> str:
    """The first of these programs that is here; without one the test is skipped."""
    found = next((name for name in names if shutil.which(name)), None)
    if found is None:
        pytest.skip(f"{' or '.join(names)} is not installed")
    return found
