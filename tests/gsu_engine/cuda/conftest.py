"""Devices for tests of what runs on any of them."""

import pytest

from tests.gsu_engine.cuda.devices import MakeDevice
from tests.gsu_engine.cuda.numpy_device import NumpyDevice


@pytest.fixture(scope="session", params=["numpy"])
def make_device() -> MakeDevice:
    """How to make one, of each kind after the other."""
    return NumpyDevice
