"""Compiled code is kept apart by everything it depends on, and an edit is seen wherever it is made."""

import subprocess
import sys
from pathlib import Path

import numba
import pytest
from llvmlite import binding

from muse_stream.state import compiled
from muse_stream.state.compiled import Compiler, cache_root, digest

HERE = """
from muse_stream.state.compiled import Compiler
from callee import twenty
kernel = Compiler(__file__).kernel

@kernel
def caller(x):
    return twenty(x)
"""
CALLEE = """
from muse_stream.state.compiled import Compiler

@Compiler(__file__).kernel
def twenty(x):
    return x * {factor}
"""


def test_an_edit_of_a_callee_in_another_file_is_seen(tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "", "HOME": str(tmp_path)}
    results = []
    for factor in (20, 1010):
        (tmp_path / "caller.py").write_text(HERE)
        (tmp_path / "callee.py").write_text(CALLEE.format(factor=factor))
        command = [sys.executable, "-c", "from caller import caller; print(caller(1))"]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        results.append(run.stdout.strip())
    assert results == ["20", "1010"]


def test_another_compiler_or_cpu_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(tmp_path)
    monkeypatch.setattr(numba, "__version__", "0.0.1")
    after = digest(tmp_path)
    assert after != before
    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: "another")
    assert digest(tmp_path) not in {before, after}


def test_folders_have_caches_of_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = Compiler(str(tmp_path / "one" / "a.py")), Compiler(str(tmp_path / "two" / "a.py"))
    assert one.directory != two.directory


def test_the_cache_goes_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "muse-stream"
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    fallback = cache_root()
    assert fallback.is_dir()
    fallback.rmdir()
    monkeypatch.setattr(compiled.config, "CACHE_DIR", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
