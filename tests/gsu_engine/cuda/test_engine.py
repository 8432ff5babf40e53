"""The whole engine as it runs with a GPU, on stand-ins of one: the real backend, histories, vectors and searches."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_stream.gsu_engine import GsuEngine, VectorTable, rehearse
from muse_stream.gsu_engine.backends import cuda
from muse_stream.gsu_engine.backends.cuda import CudaBackend
from muse_stream.gsu_engine.contract import Backend
from muse_stream.gsu_engine.cuda import vectors
from muse_stream.gsu_engine.cuda.device import Device
from muse_stream.gsu_engine.cuda.residence import Residence
from muse_stream.gsu_engine.cuda.ways import Shape, Way, Ways
from tests.gsu_engine.cuda import numpy_search  # noqa: F401 - brings its kernels
from tests.gsu_engine.cuda.devices import MakeDevice
from tests.gsu_engine.cuda.stand_in import budget_of
from tests.gsu_engine.oracle import History, answer, assert_identical
from tests.gsu_engine.test_life import STEPS, Life, Rules
from tests.gsu_engine.worlds import World, draw_vectors

WAYS = [Way(whole, graph) for whole in (False, True) for graph in (False, True)]


class Sized(CudaBackend):
    """With room for so many pages, whatever is free."""

    pages = 10

    def residence(self, table: VectorTable, cap: int, budget_bytes: int | None) -> Residence:
        return super().residence(table, cap, budget_bytes or budget_of(self.pages, cap))


@given(
    seed=st.integers(0, 2**32 - 1),
    cap=st.sampled_from((4, 30, 700)),
    pages=st.sampled_from((1, 4, 20)),
    steps=st.lists(st.sampled_from(STEPS), max_size=25),
    way=st.sampled_from(WAYS),
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_every_answer_of_a_life_equals_the_oracle(  # noqa: PLR0917 - hypothesis passes names
    make_device: MakeDevice,
    backends: list[Backend],
    seed: int,
    cap: int,
    pages: int,
    steps: list[Callable[[Life], None]],
    way: Way,
) -> None:
    """Vectors, scratch and results grow and users leave between the searches, whichever way these take."""
    backend = Sized(backends[1], make_device, Ways(always=way))
    backend.pages = pages
    with mock.patch.object(vectors, "FIRST_SLOTS", 4):
        life = Life([backend], Rules(seed, cap, pages=6, max_items=40, flood=30, kind="full"))
    for step in [*steps, Life.search]:
        step(life)
        life.steps += 1


def test_most_pairs_of_a_batch_are_answered_by_the_device(make_device: MakeDevice, backends: list[Backend]) -> None:
    rng = np.random.default_rng(3)
    rows = dict(zip(range(1, 201), draw_vectors(rng, "full", 200, 128), strict=True))
    lengths = {1: 1_500, 2: 40, 3: 700, 4: 1}
    world = World(128, rows, {u: History(5, rng.integers(1, 220, n).tolist()) for u, n in lengths.items()}, rng)
    engine = GsuEngine(world.table(), cap=1_000, backend=CudaBackend(backends[1], make_device), gpu_bytes=1 << 18)
    for user in (1, 2, 3, 4):
        history = world.histories[user]
        world.histories[user] = History(history.stop - min(len(history.items), 1_000), history.items[-1_000:])
    for masks in (False, True):
        batch = world.batch([1, 2, 3, 4, 1], [70, 3, 0, 1, 9], windows=False, masks=masks, exclusions=masks)
        expected = answer(batch, world.histories, world.vectors, 50, 20)
        assert_identical(engine.search(batch, 50, 20, world), expected)
    found = engine.stats().device
    assert found is not None
    assert (found.answered, sum(found.elsewhere.values())) == (8, 0)


def test_a_rehearsal(make_stand_in: MakeDevice, backends: list[Backend], monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[Any] = []

    def make() -> Device:
        devices.append(make_stand_in())
        device: Device = devices[-1]
        return device

    monkeypatch.setattr("muse_stream.gsu_engine.rehearsal.ROWS", 600)
    monkeypatch.setattr("muse_stream.gsu_engine.rehearsal.CANDIDATES", 20)
    monkeypatch.setattr(cuda, "WAYS", {})
    monkeypatch.setattr("muse_stream.gsu_engine.cuda.ways.ROWS", (300, 600))
    monkeypatch.setattr("muse_stream.gsu_engine.cuda.ways.CANDIDATES", (1, 20))
    monkeypatch.setattr("muse_stream.gsu_engine.cuda.measure.WARM_UPS", 0)
    monkeypatch.setattr("muse_stream.gsu_engine.cuda.measure.TURNS", 1)
    backend = CudaBackend(backends[1], make)
    rehearse(backend, None, 64, 5)
    assert {"append", "fill", "threshold_64", "filter_64", "finish_64"} <= set(devices[0].launches)
    assert len(devices) == 1, "what was measured on is rehearsed on"
    ways = cuda.ways_on(backend.device_name, 64)
    assert set(ways.measured) == set(Shape.every())
    captures = devices[0].captures
    assert captures > 0, "graphs were measured"
    backend.tune(64, 5)
    assert devices[0].captures == captures, "once is enough"
