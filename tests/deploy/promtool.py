"""Runs promtool, Prometheus's own checker, where it is installed."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

PROGRAM = "promtool"
needs_promtool = pytest.mark.skipif(
    shutil.which(PROGRAM) is None, reason=f"needs the program {PROGRAM}: on Debian, apt install prometheus"
)


def promtool(*arguments: str | Path) -> tuple[bool, str]:
    """Whether it succeeded, and all that it wrote."""
    program = shutil.which(PROGRAM)
    assert program
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def run_cases(directory: Path, documents: Sequence[Mapping[str, Any]]) -> tuple[bool, str]:
    """What `promtool test rules` says of test files with these contents."""
    paths = [directory / f"case-{number}.yml" for number in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_text(yaml.safe_dump(document, sort_keys=False, width=10_000), encoding="utf-8")
    return promtool("test", "rules", *paths)
