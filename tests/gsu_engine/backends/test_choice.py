"""Which backend answers, and that it says why."""

import os
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from muse_stream.gsu_engine import BackendError, GsuEngine, ItemIndex, VectorTable
from muse_stream.gsu_engine.backends import choose, cuda
from muse_stream.gsu_engine.cuda import cupy_device
from tests.gsu_engine.cuda.numpy_device import NumpyDevice


def table_of(width: int = 128, max_items: int = 1_000) -> VectorTable:
    return VectorTable("v1", width, ItemIndex(max_items), budget_bytes=1 << 16)


def lend(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]) -> None:
    """Let `make` stand for opening the GPU."""
    monkeypatch.setattr(cupy_device, "open_device", make)


def refuse() -> None:
    message = "cuda: Old GPU has compute capability 6.1, 8.0 is needed"
    raise BackendError(message)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BackendError, match=r"'gpu' is unknown.*auto, cuda, reference, cpu"):
        choose("gpu")


def test_auto_takes_the_cpu_where_cupy_is_missing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    backend, why = choose("auto", threads=1)
    assert backend.name == "cpu"
    assert "CuPy cannot be imported" in why
    with pytest.raises(BackendError, match="CuPy cannot be imported"):
        choose("array-cuda")


def test_auto_takes_the_cpu_where_the_device_is_of_no_use_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lend(monkeypatch, refuse)
    backend, why = choose("auto", threads=1)
    assert backend.name == "cpu"
    assert "compute capability 6.1" in why
    assert "multiplies as" in why
    with pytest.raises(BackendError, match=r"compute capability 6\.1"):
        choose("cuda")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_device_is_taken_and_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    lend(monkeypatch, NumpyDevice)
    stats = GsuEngine(table_of(), cap=1_000, backend=name, threads=1).stats()
    assert (stats.backend, stats.why) == ("cuda", "device NumPy")
    assert stats.device is not None
    assert (stats.device.lost, stats.device.histories.users) == (None, 0)


def test_histories_get_three_quarters_of_what_the_vectors_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    lend(monkeypatch, lambda: NumpyDevice(memory_bytes=100_000_000))
    stats = GsuEngine(table_of(max_items=99_999), cap=1_000, backend="cuda", threads=1).stats()
    assert stats.device is not None
    assert stats.device.histories.budget_bytes == (100_000_000 - 2 * 100_000 * 132) * 3 // 4
    told = GsuEngine(table_of(), cap=1_000, backend="cuda", threads=1, gpu_bytes=1 << 20).stats()
    assert told.device is not None
    assert told.device.histories.budget_bytes == 1 << 20


def lost_at_once() -> NumpyDevice:
    device = NumpyDevice()
    device.fail_after(2)
    return device


@pytest.mark.parametrize(
    ("make", "gpu_bytes", "words"),
    [
        (
            lambda: NumpyDevice(memory_bytes=1_000_000),
            2_000_000,
            "2,000,000 bytes wanted for histories, NumPy has 1,000",
        ),
        (lambda: NumpyDevice(memory_bytes=200_000), None, r"too little memory \(device budget 0 bytes.*200,000 free"),
        (lambda: NumpyDevice(memory_bytes=1_000_000), 900_000, "too little memory .*NumPy has"),
        (lost_at_once, None, "NumPy fails at once"),
    ],
)
def test_a_device_without_room_is_refused_and_auto_says_so(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], NumpyDevice], gpu_bytes: int | None, words: str
) -> None:
    lend(monkeypatch, make)
    with pytest.raises(BackendError, match=words):
        GsuEngine(table_of(), cap=1_000, backend="cuda", threads=1, gpu_bytes=gpu_bytes)
    stats = GsuEngine(table_of(), cap=1_000, backend="auto", threads=1, gpu_bytes=gpu_bytes).stats()
    assert stats.backend == "cpu"
    assert stats.device is None
    assert "cuda: " in stats.why


def test_engines_that_share_a_backend_have_a_device_each(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[NumpyDevice] = []

    def make() -> NumpyDevice:
        made.append(NumpyDevice())
        return made[-1]

    lend(monkeypatch, make)
    backend, _ = choose("cuda", threads=1)
    engines = [GsuEngine(table_of(), cap=1_000, backend=backend, gpu_bytes=1 << 20) for _ in range(3)]
    assert len(engines) == len(made) == 3


def fake_cupy() -> types.ModuleType:
    """NumPy that says it is a GPU."""
    fake = types.ModuleType("cupy")
    for name in ("asarray", "matmul", "where", "partition", "sort"):
        setattr(fake, name, getattr(np, name))
    properties = types.SimpleNamespace(getDeviceProperties=lambda _: {"name": b"Fake"})
    fake.cuda = types.SimpleNamespace(Device=lambda: types.SimpleNamespace(id=0), runtime=properties)  # type: ignore[attr-defined]
    return fake


def test_a_width_without_kernels_is_for_array_operations_or_with_auto_for_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lend(monkeypatch, NumpyDevice)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    stats = GsuEngine(table_of(192), backend="cuda", threads=1).stats()
    assert (stats.backend, stats.device) == ("array-cuda", None)
    assert stats.why == (
        "device Fake; array operations: cuda: no kernels for vectors of width 192, only for 64 and 128"
    )
    stats = GsuEngine(table_of(192), backend="auto", threads=1).stats()
    assert (stats.backend, stats.device) == ("cpu", None)
    assert "no kernels for vectors of width 192" in stats.why
    with pytest.raises(BackendError, match="no kernels"):
        GsuEngine(table_of(192), backend=choose("cuda", threads=1)[0])


def test_array_operations_need_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_device() -> None:
        message = "no CUDA-capable device is detected"
        raise RuntimeError(message)

    fake = fake_cupy()
    fake.cuda.Device = no_device
    monkeypatch.setitem(sys.modules, "cupy", fake)
    with pytest.raises(BackendError, match="no usable device"):
        choose("array-cuda")


def test_tf32_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CUPY_TF32", "1")
    with pytest.raises(BackendError, match="CUPY_TF32"):
        cuda.open_arrays()


def test_the_cpu_backend_takes_one_thread_per_core_unless_told() -> None:
    backend, _ = choose("cpu")
    assert getattr(backend, "threads", None) == len(os.sched_getaffinity(0))
    assert getattr(choose("cpu", threads=7)[0], "threads", None) == 7
