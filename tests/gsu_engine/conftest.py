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


ON_GPU = [pytest.param(name, marks=pytest.mark.gpu) for name in ("cuda", "array-cuda")]
GPU_BYTES = 1 << 26  # histories of one engine; many engines live at a time


@pytest.fixture(scope="session", params=[*EVERYWHERE, *ON_GPU])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """One backend after the other."""
    if request.param not in EVERYWHERE:
        pytest.importorskip("cupy", reason="CuPy is not installed")
    with mock.patch.object(cuda, "budget_of", return_value=GPU_BYTES):
        yield choose(request.param, threads=3)[0]


@pytest.fixture(scope="session")
def backends() -> list[Backend]:
    """All that run here, the definition first."""
    return [choose(name, threads=3)[0] for name in EVERYWHERE]


@pytest.fixture(params=PACKING)
def packing(request: pytest.FixtureRequest, backends: list[Backend]) -> Backend:
    """One after the other of those that keep hot users' rows packed."""
    return backends[EVERYWHERE.index(request.param)]


@pytest.fixture(scope="module")
def answers_stand() -> Iterator[None]:
    """Answers stand also over short histories."""
    with standing_from_the_first_row():
        yield


@pytest.fixture(scope="module")
def backends_with_small_shares(backends: list[Backend]) -> Iterator[list[Backend]]:
    """The same; the cpu ones cut even a small search between their threads."""
    with small_shares():
        yield backends
