"""Listeners are told in order, and a bound method does not keep its object."""

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from muse_stream.gsu_engine import GsuEngine
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.listeners import Listeners
from tests.gsu_engine.cuda.stand_in import StandInBackend
from tests.gsu_engine.test_offload import Source, batch_of, table_of


class Ear:
    def __init__(self, heard: list[str], name: str) -> None:
        self.heard, self.name = heard, name

    def hear(self) -> None:
        self.heard.append(self.name)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only counts of references free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_all_that_are_left_are_told_in_order() -> None:
    heard: list[str] = []
    listeners, first, second = Listeners(), Ear(heard, "first"), Ear(heard, "second")
    for listener in (first.hear, second.hear, lambda: heard.append("third")):
        listeners.add(listener)
    listeners.tell()
    del first
    listeners.tell()
    assert heard == ["first", "second", "third", "second", "third"]
    listeners.remove(second.hear)
    listeners.tell()
    assert heard[5:] == ["third"]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("table_lives_on", [True, False])
def test_an_engine_that_goes_gives_its_device_memory_back_at_once(
    backends: list[Backend], *, table_lives_on: bool
) -> None:
    table, backend = table_of(), StandInBackend(backends[0])
    engine = GsuEngine(table, cap=1_000, pool_bytes=1 << 18, backend=backend)
    engine.search(batch_of(table, [1], [50]), 5, 4, Source({1: np.arange(1, 51)}))
    engine.put_vectors(np.array([3]), np.full((1, 64), 2, np.int8))
    device = backend.devices[0]
    held = device.free_bytes()
    gone = weakref.ref(backend.histories.pop())
    backend.searches.clear()
    if not table_lives_on:
        del table
    del engine
    assert gone() is None
    assert device.free_bytes() > held
    assert device.free_bytes() == 1 << 28, "nothing of it is left"
