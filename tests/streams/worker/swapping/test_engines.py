"""Engines live as long as bundles need them; what ingest tells reaches each; residents move; coverage is a share."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from muse_stream.esu_scorer import Scorer
from muse_stream.gsu_engine import VectorTable
from muse_stream.streams.serving.live import Live
from muse_stream.streams.worker.swapping import moving
from muse_stream.streams.worker.swapping.coverage import coverage
from muse_stream.streams.worker.swapping.moving import StoredHistories, move_residents
from tests.streams.serving.parts import PARTITION
from tests.streams.serving.test_pipeline import ask
from tests.streams.worker.swapping.conftest import until
from tests.streams.worker.swapping.world import ITEMS, World, artefact, make_world


def bundle(world: World, space: str) -> Live:
    return world.engines.bundle(Scorer(artefact(space, 9)))


def test_bundles_of_one_space_share_its_engine_until_the_last_has_gone(world: World) -> None:
    one, other = bundle(world, "v1"), bundle(world, "v1")
    assert one.engine is other.engine
    del one
    world.engines.close_unused()
    assert len(world.engines.stats()) == 1
    del other
    world.engines.close_unused()
    assert not world.engines.stats()


def test_every_open_engine_hears_of_behaviours_and_erasures(world: World) -> None:
    lives = [bundle(world, "v1"), bundle(world, "v2")]
    engines = [world.engines.engine(live) for live in lives]
    world.behave(1, [2, 9])
    for engine in engines:
        engine.prefetch(1, StoredHistories(world.stores))
    world.behave(1, [4])
    assert [engine.resident()[2].tolist() for engine in engines] == [[3], [3]]
    world.behave(1, [0], erase=True)
    assert [engine.stats().pool.users for engine in engines] == [0, 0]


def test_a_closed_engine_leaves_index_and_table(world: World) -> None:
    live = bundle(world, "v1")
    engine = world.engines.engine(live)
    world.behave(1, [2, 9])
    engine.prefetch(1, StoredHistories(world.stores))
    del live
    world.engines.close_unused()
    world.behave(1, [4])
    assert engine.resident()[2].tolist() == [2], "it is told no more"
    for item in range(1_000, 2_100):
        engine.index.slots(np.array([item]), create=True)
    assert engine.index.reclaim() > 0
    assert engine.stats().pool.users == 1, "nor when slots are freed"


def test_residents_are_loaded_from_the_store_that_has_them(world: World) -> None:
    old, new = bundle(world, "v1"), bundle(world, "v2")
    world.live.install("old", old)
    for user in (1, 2, 3):
        world.behave(user, [user, 9])
        world.ask(ask(user, [9]))
    engines = world.engines.engine(old), world.engines.engine(new)
    assert move_residents(*engines, world.stores, lambda: True) == 3
    assert engines[1].resident()[0].tolist() == [1, 2, 3]


def test_moving_ends_when_something_else_is_wanted_or_time_is_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = bundle(world, "v1"), bundle(world, "v2")
    world.live.install("old", old)
    world.behave(1, [2, 9])
    world.ask(ask(1, [9]))
    engines = world.engines.engine(old), world.engines.engine(new)
    assert move_residents(*engines, world.stores, lambda: False) == 0
    monkeypatch.setattr(moving, "MOVE_SECONDS", -1.0)
    assert move_residents(*engines, world.stores, lambda: True) == 0


def test_a_user_whom_no_store_knows_is_empty(world: World) -> None:
    start, items = StoredHistories(world.stores).items(404)
    assert (start, items.tolist()) == (0, [])
    world.stores.retire(PARTITION)
    assert StoredHistories(world.stores).items(1)[1].tolist() == []
    world.stores.open(PARTITION, lambda: world.store)


def test_coverage_is_of_the_items_that_are_served(world: World) -> None:
    served, other = (world.tables[space] for space in ("v1", "v2"))
    assert coverage(served, other) == 1.0
    other.forget(np.arange(1, 16))
    served.forget(np.arange(1, 6))
    assert coverage(served, other) == pytest.approx((ITEMS - 15) / (ITEMS - 5))
    other.put(np.arange(101, 120), np.ones((19, other.dimension), np.int8))
    assert coverage(served, other) == pytest.approx((ITEMS - 15) / (ITEMS - 5)), "items of the new space alone"
    empty = VectorTable("empty", other.dimension, served.index, budget_bytes=1 << 16)
    assert (coverage(served, empty), coverage(empty, served)) == (0.0, 1.0)


def test_a_closed_engine_is_free_without_the_garbage_collector(tmp_path: Path) -> None:
    world = make_world(tmp_path, backend="cpu")
    world.behave(1, [1 + item % ITEMS for item in range(3_000)])
    live = bundle(world, "v1")
    world.live.install("one", live)
    for _ in range(6):
        world.ask(ask(1, [9, 5], k=3))
    engine = world.engines.engine(live)
    packed = engine._packed
    assert packed is not None
    copy = packed._copies[1]
    assert copy.standing is not None, "it refers to what it is part of"
    gone: list[weakref.ref[object]] = [weakref.ref(engine), weakref.ref(engine._pool), weakref.ref(copy.lanes.blocks)]
    gc.disable()
    try:
        world.live.empty()
        del live, engine, packed, copy
        world.engines.close_unused()
        until(lambda: all(one() is None for one in gone), "a helper drops what was left over for it")
    finally:
        gc.enable()
        world.close()
