"""Devices for tests of what runs on any of them."""

import pytest

from tests.gsu_engine.cuda.devices import HAS_COMPILER, MakeDevice, emulated_device, numpy_device, real_device

STAND_INS: dict[str, MakeDevice] = {"numpy": numpy_device, "emulated": emulated_device}
MAKERS: dict[str, MakeDevice] = {**STAND_INS, "cuda": real_device}


def _maker(name: str) -> MakeDevice:
    if name == "emulated" and not HAS_COMPILER:
        pytest.skip("no g++ to compile the kernels for this machine")
    if name == "cuda":
        pytest.importorskip("cupy", reason="CuPy is not installed")
    return MAKERS[name]


@pytest.fixture(scope="session", params=[*STAND_INS, pytest.param("cuda", marks=pytest.mark.gpu)])
def make_device(request: pytest.FixtureRequest) -> MakeDevice:
    """How to make one, of each kind after the other."""
    return _maker(request.param)


@pytest.fixture(scope="session", params=STAND_INS)
def make_stand_in(request: pytest.FixtureRequest) -> MakeDevice:
    """The same without a GPU: for what a GPU does not show, and for what must not be tried on one."""
    return _maker(request.param)
