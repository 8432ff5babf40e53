"""The backends of this machine, made once: threads are shared by all engines of the tests."""

from collections.abc import Iterator
from unittest import mock

import pytest

from muse_stream.gsu_engine.backends import MAKERS, choose, cuda
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.kernels import forms
from tests.gsu_engine.forced import small_shares, standing_from_the_first_row

LACKING = {f"cpu-{form.name}" for form in forms.FORMS if form not in forms.usable_forms(forms.FEATURES)}
EVERYWHERE = [name for name in MAKERS if name != "array-cuda" and name not in LACKING]
PACKING = [name for name in EVERYWHERE if name.startswith("cpu")]


GPU = ("cuda", "array-cuda")
ON_GPU = [pytest.param(name, marks=pytest.mark.gpu) for name in GPU]
GPU_BYTES = 1 << 26  # histories of one engine; many engines live at a time


@pytest.fixture(scope="session", params=[*EVERYWHERE, *ON_GPU])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """One backend after the other."""
    if request.param in EVERYWHERE:
        yield choose(request.param, threads=3)[0]
        return
    pytest.importorskip("cupy", reason="CuPy is not installed")
    with mock.patch.object(cuda, "budget_of", return_value=GPU_BYTES):
        yield choose(request.param, threads=3)[0]


@pytest.fixture(scope="session", params=["here", pytest.param("on the GPU", marks=pytest.mark.gpu)])
def backends(request: pytest.FixtureRequest) -> Iterator[list[Backend | str]]:
    """All that run on the processor, or on the GPU by name, as it depends on the width; the definition first."""
    if request.param == "here":
        yield [choose(name, threads=3)[0] for name in EVERYWHERE]
        return
    pytest.importorskip("cupy", reason="CuPy is not installed")
    with mock.patch.object(cuda, "budget_of", return_value=GPU_BYTES):
        yield ["reference", *GPU]


@pytest.fixture(scope="session", params=PACKING)
def packing(request: pytest.FixtureRequest) -> Backend:
    """One after the other of those that keep hot users' rows packed."""
    return choose(request.param, threads=3)[0]


@pytest.fixture(scope="module")
def answers_stand() -> Iterator[None]:
    """Answers stand also over short histories."""
    with standing_from_the_first_row():
        yield


@pytest.fixture(scope="module")
def backends_with_small_shares(backends: list[Backend | str]) -> Iterator[list[Backend | str]]:
    """The same; the cpu ones cut even a small search between their threads."""
    with small_shares():
        yield backends
