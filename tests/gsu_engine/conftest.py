"""The backends of this machine, made once: threads are shared by all engines of the tests."""

from collections.abc import Iterator

import pytest

from muse_stream.gsu_engine import packed
from muse_stream.gsu_engine.backends import MAKERS, choose, cpu
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.kernels import forms

LACKING = {f"cpu-{form.name}" for form in forms.FORMS if form not in forms.usable_forms(forms.FEATURES)}
EVERYWHERE = [name for name in MAKERS if name != "cuda" and name not in LACKING]
PACKING = [name for name in EVERYWHERE if name.startswith("cpu")]


@pytest.fixture(scope="session", params=[*EVERYWHERE, pytest.param("cuda", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> Backend:
    """One backend after the other."""
    if request.param == "cuda":
        pytest.importorskip("cupy", reason="CuPy is not installed")
    return choose(request.param, threads=3)[0]


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "STANDING_FROM_ROWS", 0)
        yield


@pytest.fixture(scope="module")
def backends_with_small_shares(backends: list[Backend]) -> Iterator[list[Backend]]:
    """The same; the cpu ones cut even a small search between their threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "SMALL", 1)
        yield backends
