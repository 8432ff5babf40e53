"""Which backend answers, and that it says why."""

import os
import sys
import types

import pytest

from muse_stream.gsu_engine import BackendError
from muse_stream.gsu_engine.backends import choose, cuda


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BackendError, match=r"'gpu' is unknown.*auto, reference, cpu"):
        choose("gpu")


def test_auto_takes_the_cpu_where_cupy_is_missing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    backend, why = choose("auto", threads=1)
    assert backend.name == "cpu"
    assert "CuPy cannot be imported" in why


def test_auto_takes_the_cpu_where_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_device() -> None:
        message = "no CUDA-capable device is detected"
        raise RuntimeError(message)

    fake = types.ModuleType("cupy")
    fake.cuda = types.SimpleNamespace(Device=no_device, runtime=types.SimpleNamespace(getDeviceProperties=None))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", fake)
    backend, why = choose("auto", threads=1)
    assert backend.name == "cpu"
    assert "no CUDA-capable device" in why
    with pytest.raises(BackendError, match="no usable device"):
        choose("cuda")


def test_tf32_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CUPY_TF32", "1")
    with pytest.raises(BackendError, match="CUPY_TF32"):
        cuda.open_cuda()


def test_the_cpu_backend_takes_one_thread_per_core_unless_told() -> None:
    backend, _ = choose("cpu")
    assert getattr(backend, "threads", None) == len(os.sched_getaffinity(0))
    assert getattr(choose("cpu", threads=7)[0], "threads", None) == 7
