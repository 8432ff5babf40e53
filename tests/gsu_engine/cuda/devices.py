"""The stand-ins for a GPU, as tests ask for one."""

from collections.abc import Callable

from muse_stream.gsu_engine.cuda.device import Device

MakeDevice = Callable[[], Device]
