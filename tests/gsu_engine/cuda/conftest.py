"""Devices for tests of what runs on any of them."""

import pytest

from tests.gsu_engine.cuda.devices import HAS_COMPILER, MakeDevice, emulated_device, numpy_device

MAKERS: dict[str, MakeDevice] = {"numpy": numpy_device, "emulated": emulated_device}


@pytest.fixture(scope="session", params=MAKERS)
def make_device(request: pytest.FixtureRequest) -> MakeDevice:
    """How to make one, of each kind after the other."""
    if request.param == "emulated" and not HAS_COMPILER:
        pytest.skip("no g++ to compile the kernels for this machine")
    return MAKERS[request.param]
