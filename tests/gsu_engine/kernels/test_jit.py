"""Compiled code is kept apart by everything it depends on."""

from pathlib import Path

import numba
import pytest
from llvmlite import binding

from muse_stream.gsu_engine.kernels import jit


def test_an_edit_of_any_kernel_source_changes_the_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("jit.py", "scan.py", "select.py"):
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    before = jit.digest()
    assert jit.digest() == before
    (tmp_path / "select.py").write_text("x = 2\n")
    assert jit.digest() != before


def test_another_compiler_or_cpu_changes_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    before = jit.digest()
    monkeypatch.setattr(numba, "__version__", "0.0.1")
    after = jit.digest()
    assert after != before
    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: "another")
    assert jit.digest() not in {before, after}


def test_the_cache_goes_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jit.cache_root() == tmp_path / "muse-stream"
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    fallback = jit.cache_root()
    assert fallback.is_dir()
    fallback.rmdir()
    monkeypatch.setattr(jit.config, "CACHE_DIR", str(tmp_path / "own"))
    assert jit.cache_root() == tmp_path / "own"
